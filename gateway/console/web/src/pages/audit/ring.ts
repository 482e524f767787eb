/** The last items of a stream, however long it is. */
export class Ring<T> {
  readonly #items: T[] = [];
  readonly #most: number;
  #next = 0; // Where the next item goes, once it is full.

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#items.length;
  }

  push(item: T) {
    if (this.#items.length < this.#most) {
      this.#items.push(item);
      return;
    }
    this.#items[this.#next] = item;
    this.#next = (this.#next + 1) % this.#most;
  }

  /** The item that came `back` items before the newest; undefined beyond the oldest. */
  at(back: number): T | undefined {
    const n = this.#items.length;
    if (back < 0 || back >= n) return undefined;
    return this.#items[(this.#next + n - 1 - back) % n];
  }

  /** A copy, the newest first. */
  newestFirst(): T[] {
    return Array.from(this.#items, (_, i) => this.at(i) as T);
  }
}
