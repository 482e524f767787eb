import type { Record } from './record';

const columns: [string, (r: Record) => unknown][] = [
  ['seq', (r) => r.seq],
  ['time', (r) => r.time],
  ['type', (r) => r.type],
  ['node', (r) => r.node],
  ['id', (r) => r.id],
  ['parent', (r) => r.parent],
  ['via', (r) => r.via],
  ['op', (r) => r.op],
  ['kind', (r) => r.kind],
  ['name', (r) => r.name],
  ['object', (r) => r.object],
  ['principal', (r) => r.principal?.id],
  ['principal_name', (r) => r.principal?.name],
  ['tenant', (r) => r.principal?.tenant],
  ['policy', (r) => r.policy],
  ['rule', (r) => r.rule],
  ['code', (r) => r.code],
  ['by', (r) => r.by],
  ['cause', (r) => r.cause],
  ['count', (r) => r.count],
  ['served', (r) => r.served],
  ['endpoint', (r) => r.endpoint],
  ['tool_error', (r) => r.tool_error],
  ['duration_us', (r) => r.duration_us],
  ['bytes_in', (r) => r.bytes_in],
  ['bytes_out', (r) => r.bytes_out],
  ['args_hmac', (r) => r.args_hmac],
  ['trace', (r) => r.trace],
  ['actor', (r) => r.actor],
  ['detail', (r) => r.detail],
];

/**
 * A cell as RFC 4180 has it. Text that a spreadsheet would take for a formula gets an apostrophe before it: names and
 * causes carry words of others.
 */
export function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = /^[\s\p{Cc}\p{Cf}]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/u.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The first line of the CSV, with its end. */
export const csvHead = `${columns.map(([name]) => name).join(',')}\r\n`;

/** A record as a line of CSV, with its end. */
export const csvLine = (r: Record) => `${columns.map(([, of]) => cell(of(r))).join(',')}\r\n`;
