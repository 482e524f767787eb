const gap = (depth: number) => `\n${'  '.repeat(depth)}`;

/**
 * JSON text with line breaks and indentation. Nothing else changes: numbers keep their digits, strings their escapes,
 * and a member that is there twice stays twice. What is nested deeper than 100 is left as it is.
 */
export function indent(text: string): string {
  let out = '';
  let depth = 0;
  for (const token of text.match(/"(?:[^"\\]|\\[\s\S])*"|[[\]{},:]|[^\s"[\]{},:]+|"[\s\S]*$/g) ?? []) {
    const before = out[out.length - 1] ?? '';
    if (token === '}' || token === ']') {
      depth--;
      out += before === '{' || before === '[' ? token : gap(Math.min(Math.max(depth, 0), 100)) + token;
      continue;
    }
    if (before === '{' || before === '[') out += gap(Math.min(depth, 100));
    if (token === '{' || token === '[') depth++;
    if (token === ',') out += token + gap(Math.min(depth, 100));
    else out += token === ':' ? ': ' : token;
  }
  return out;
}

/** Splits text where characters are spelt out, such as \u{200b}, so that they can be shown apart: every second part is one. */
export const spelt = (text: string): string[] => text.split(/(\\u\{[0-9a-f]{1,6}\}|<!--[\s\S]*?-->)/);
