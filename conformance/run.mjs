// Runs the official suite against a server and prints what came of it as the
// document docs/conformance.md: node run.mjs URL
import { run as start, sum, version } from './suite.mjs';

const url = process.argv[2];
if (!url) {
  console.error('usage: node run.mjs URL');
  process.exit(2);
}
const run = (...args) => start('server', '--url', url, ...args);
const lists = ['2025-11-25', '2026-07-28'];
const wires = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'];
const doc = [];
const say = (...lines) => doc.push(...lines);

say('# MCP conformance', '',
  `Measured with \`@modelcontextprotocol/conformance\` ${version} against \`gateway dev --conformance\`;`,
  '`make conformance` repeats it and fails if this page says anything else.', '',
  '| run | scenarios that pass | that fail | checks that pass | that fail |', '|---|---|---|---|---|');
const required = new Map();
for (const r of lists) required.set(r, await run('--requirements', r));
const row = (name, all) => say(`| ${name} | ${sum(all, (s) => +!s.failed)} | ${sum(all, (s) => +!!s.failed)} | ${sum(all, (s) => s.passed)} | ${sum(all, (s) => s.failed)} |`);
for (const [revision, all] of required) {
  row(`requirements ${revision}, scored`, new Map([...all].filter(([, s]) => !s.unscored)));
  const rest = new Map([...all].filter(([, s]) => s.unscored));
  row(`requirements ${revision}, not scored`, rest);
}
for (const w of wires) row(`all scenarios on the wire of ${w}`, await run('--suite', 'all', '--spec-version', w));

for (const [revision, all] of required) {
  say('', `## Requirements ${revision}`, '', '| scenario | checks that pass | that fail | |', '|---|---|---|---|');
  for (const [name, s] of [...all].sort(([a], [b]) => (a < b ? -1 : 1))) {
    say(`| ${name} | ${s.passed} | ${s.failed} | ${s.failed ? '**fails**' : 'passes'}${s.unscored ? `, not scored (${s.unscored})` : ''} |`);
  }
}
console.log(doc.join('\n'));
