const locale = typeof navigator === 'undefined' ? 'en' : navigator.language;
const counts = new Intl.NumberFormat(locale);
const moments = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'medium' });

const clocks = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
  hourCycle: 'h23',
});
const times = new Intl.DateTimeFormat(locale, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const days = new Intl.DateTimeFormat(locale, { month: 'short', day: 'numeric' });
const daysOfYears = new Intl.DateTimeFormat(locale, { dateStyle: 'short' });

/** The time of day to the millisecond, in the reader's own time; always of the same width. */
export const clock = (t: Date) => clocks.format(t);

/** The day in the reader's own time, with the year where that is another one; '' for a moment of today. */
export function dayUnlessToday(t: Date, now: Date): string {
  if (t.toDateString() === now.toDateString()) return '';
  return (t.getFullYear() === now.getFullYear() ? days : daysOfYears).format(t);
}

/** A count, with separators. */
export const count = (n: number) => counts.format(n);

/** A count of things, by the word for one of them. */
export const plural = (n: number, word: string) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;

/** A moment in the reader's own time; a dash for none. */
export const moment = (t: string | null | undefined) => (t ? moments.format(new Date(t)) : '–');

/** The time of day in the reader's own time, with the day where that is not today. */
export function briefly(t: string, now = new Date()): string {
  const at = new Date(t);
  const day = dayUnlessToday(at, now);
  return day ? `${day}, ${times.format(at)}` : times.format(at);
}

/**
 * A value as a pattern of the audit log's filters that it matches. What has a meaning in patterns stands for any one
 * character, so that others may match, too.
 */
export const asPattern = (value: string) => value.replace(/[*?]/g, '?');

/** A time in milliseconds, in the unit that reads best. */
export function duration(ms: number): string {
  if (ms >= 60_000) return `${(ms / 60_000).toFixed(1)} min`;
  if (ms >= 1_000) return `${(ms / 1_000).toFixed(2)} s`;
  return ms >= 10 ? `${ms.toFixed(0)} ms` : `${ms.toFixed(ms >= 1 ? 1 : 2)} ms`;
}

// Characters that change how text around them reads, or that nobody sees: controls, format characters (bidirectional
// marks, zero-width ones, tags), separators of lines, variation selectors, fillers, and those of private use. Emoji keep
// what makes them: U+FE0F, and joiners between two of them. They are those of gateway/pin/hidden.go, as a test holds.
export const unseen =
  /(?!\ufe0f|(?<=\p{So}|\p{Sk}|\ufe0f)\u200d(?=\p{So}))[\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/gu;

/** Text of others with what is not seen spelt out, so that it cannot pretend to be something else. */
export const plain = (text: string) =>
  text.replace(unseen, (c) => (c === '\n' || c === '\t' ? c : `\\u{${c.codePointAt(0)?.toString(16)}}`));

/** The beginning of text, with what is not seen spelt out; how much is left out is said at its end. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return plain(text);
  return `${plain(text.slice(0, most))}… (${count(text.length - most)} more characters)`;
}
