/** What somebody has typed into a draft, and the revision that they had read. */
export type Typed = { csv: string; checks: string; comment: string };
export type Kept = Typed & { revision: number };

const keyOf = (viewer: string, draft: string) => `trilith-draft:${viewer}:${draft}`;

/** What was typed and not saved, from before the page was loaded again. It is the viewer's own, and of this tab. */
export function readKept(viewer: string, draft: string): Kept | undefined {
  try {
    const k = JSON.parse(sessionStorage.getItem(keyOf(viewer, draft)) ?? 'null') as Partial<Kept> | null;
    const whole =
      [k?.csv, k?.checks, k?.comment].every((t) => typeof t === 'string') && typeof k?.revision === 'number';
    return whole ? (k as Kept) : undefined;
  } catch {
    return undefined; // What is not ours is no loss.
  }
}

/** Keeps what was typed; undefined forgets it. Returns whether there was room for it. */
export function keep(viewer: string, draft: string, typed: Kept | undefined): boolean {
  try {
    if (typed) sessionStorage.setItem(keyOf(viewer, draft), JSON.stringify(typed));
    else sessionStorage.removeItem(keyOf(viewer, draft));
    return true;
  } catch {
    return false;
  }
}
