/**
 * A JSON value whose numbers keep all their digits: one that JavaScript cannot hold is a `Raw`, which is what
 * JSON.rawJSON makes where the browser has it.
 */
export type Exact = null | boolean | number | string | Raw | Typing | Exact[] | { [key: string]: Exact };

/** A number as its text. */
export interface Raw {
  readonly rawJSON: string;
}

/** What has been typed where a number belongs and is none (yet). It is kept, and written as the text that it is. */
export class Typing {
  constructor(readonly text: string) {}
  toJSON() {
    return this.text;
  }
}

type RawJSON = { rawJSON?: (text: string) => Raw; isRawJSON?: (value: unknown) => boolean };
const native = JSON as unknown as RawJSON;

/** How deep a value may be that is parsed here. */
const deepest = 200;

/** Whether JSON.stringify of this browser writes numbers of any length. */
export const canSendRaw = typeof native.rawJSON === 'function';

/** A number by its JSON text: of JavaScript's own kind where that holds it. */
export function number(text: string): number | Raw {
  const value = Number(text);
  const digits = text
    .replace(/[eE].*$/, '')
    .replace(/\D/g, '')
    .replace(/^0+/, '').length;
  if (Number.isFinite(value) && (String(value) === text || (digits <= 15 && (value !== 0 || digits === 0))))
    return value;
  if (native.rawJSON) return native.rawJSON(text);
  return Object.freeze(Object.assign(Object.create(null), { rawJSON: text })) as Raw;
}

/** Whether a value is a number that JavaScript cannot hold. */
export const isRaw = (value: unknown): value is Raw =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null && 'rawJSON' in value;

/** Whether there is such a number anywhere in a value. */
export function hasRaw(value: Exact): boolean {
  if (isRaw(value)) return true;
  return typeof value === 'object' && value !== null && Object.values(value).some(hasRaw);
}

/** Whether a value is an object: neither an array nor a number. */
export const isObject = (value: unknown): value is { [key: string]: Exact } =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isRaw(value) && !(value instanceof Typing);

/** The JSON text of a value, with every digit. */
export function stringify(value: Exact, indent = ''): string {
  return write(value, indent, indent ? '\n' : '');
}

function write(value: Exact, indent: string, line: string): string {
  if (isRaw(value)) return value.rawJSON;
  if (value === null || typeof value !== 'object' || value instanceof Typing) return JSON.stringify(value);
  const list = Array.isArray(value);
  const inner = line + indent;
  const items = list
    ? value.map((v) => write(v, indent, inner))
    : Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}:${indent && ' '}${write(v, indent, inner)}`);
  const [left, right] = list ? '[]' : '{}';
  return items.length ? left + inner + items.join(`,${inner}`) + line + right : `${left}${right}`;
}

const token =
  /[ \t\n\r]*(?:([{}[\],:])|("(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\.)*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null))/uy;

/** Parses JSON text. It throws a SyntaxError that says where the text is wrong. */
export function parse(text: string): Exact {
  let at = 0;
  const fail = (): never => {
    const before = text.slice(0, at).split('\n');
    throw new SyntaxError(
      `This is not JSON from line ${before.length}, column ${(before.at(-1)?.length ?? 0) + 1} on.`,
    );
  };
  const next = (): RegExpExecArray => {
    token.lastIndex = at;
    const found = token.exec(text);
    if (!found) return fail();
    at = token.lastIndex;
    return found;
  };
  const string = (quoted: string): string => {
    try {
      return JSON.parse(quoted) as string;
    } catch {
      return fail();
    }
  };
  const members = (depth: number): Exact => {
    const out: [string, Exact][] = [];
    for (let t = next(); t[1] !== '}'; t = next()) {
      if (out.length > 0) {
        if (t[1] !== ',') fail();
        t = next();
      }
      if (t[2] === undefined || next()[1] !== ':') fail();
      out.push([string(t[2] ?? ''), value(next(), depth + 1)]);
    }
    return Object.fromEntries(out); // It makes a member of __proto__, too.
  };
  const elements = (depth: number): Exact => {
    const out: Exact[] = [];
    for (let t = next(); t[1] !== ']'; t = next()) {
      if (out.length > 0) {
        if (t[1] !== ',') fail();
        t = next();
      }
      out.push(value(t, depth + 1));
    }
    return out;
  };
  const value = (t: RegExpExecArray, depth: number): Exact => {
    if (depth > deepest) throw new SyntaxError('This JSON is nested too deep.');
    if (t[2] !== undefined) return string(t[2]);
    if (t[3] !== undefined) return number(t[3]);
    if (t[4] !== undefined) return t[4] === 'null' ? null : t[4] === 'true';
    if (t[1] === '{') return members(depth);
    return t[1] === '[' ? elements(depth) : fail();
  };
  const out = value(next(), 0);
  if (text.slice(at).trim() !== '') fail();
  return out;
}
