// Runs the official suite against a server and prints what came of it as the
// document docs/conformance.md: node run.mjs URL
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const url = process.argv[2];
if (!url) {
  console.error('usage: node run.mjs URL');
  process.exit(2);
}
const here = fileURLToPath(new URL('.', import.meta.url));
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance');
const { version } = JSON.parse(readFileSync(join(suite, 'package.json'), 'utf8'));
const shim = process.versions.node.split('.')[0] < 22 ? ['--import', join(here, 'shim/register.mjs')] : [];

// run starts the suite once and returns its scenarios with the number of
// checks that passed and failed, and why a scenario is not scored.
function run(...args) {
  const out = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const r = spawnSync(process.execPath, [...shim, join(suite, 'dist/index.js'), 'server', '--url', url, ...args, '-o', out], {
      encoding: 'utf8', maxBuffer: 1 << 28, timeout: 10 * 60_000,
    });
    const scenarios = new Map();
    for (const line of (r.stdout ?? '').split('\n')) {
      const m = /^[✓✗] (\S+): (\d+) passed, (\d+) failed/.exec(line);
      if (m) scenarios.set(m[1], { passed: +m[2], failed: +m[3] });
      const n = /^ {2}[✓✗] (\S+) \((.+)\)$/.exec(line);
      if (n && scenarios.has(n[1])) scenarios.get(n[1]).unscored = n[2];
    }
    if (scenarios.size === 0) throw new Error(`the suite ran nothing: ${r.error ?? r.stderr}`);
    return scenarios;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

const sum = (all, f) => [...all.values()].reduce((n, s) => n + f(s), 0);
const lists = ['2025-11-25', '2026-07-28'];
const wires = ['2025-03-26', '2025-06-18', '2025-11-25', '2026-07-28'];
const doc = [];
const say = (...lines) => doc.push(...lines);

say('# MCP conformance', '',
  `Measured with \`@modelcontextprotocol/conformance\` ${version} against \`gateway dev --conformance\`;`,
  '`make conformance` repeats it and fails if this page says anything else.', '',
  '| run | scenarios that pass | that fail | checks that pass | that fail |', '|---|---|---|---|---|');
const required = new Map(lists.map((r) => [r, run('--requirements', r)]));
const row = (name, all) => say(`| ${name} | ${sum(all, (s) => +!s.failed)} | ${sum(all, (s) => +!!s.failed)} | ${sum(all, (s) => s.passed)} | ${sum(all, (s) => s.failed)} |`);
for (const [revision, all] of required) {
  row(`requirements ${revision}, scored`, new Map([...all].filter(([, s]) => !s.unscored)));
  const rest = new Map([...all].filter(([, s]) => s.unscored));
  row(`requirements ${revision}, not scored`, rest);
}
for (const w of wires) row(`all scenarios on the wire of ${w}`, run('--suite', 'all', '--spec-version', w));

for (const [revision, all] of required) {
  say('', `## Requirements ${revision}`, '', '| scenario | checks that pass | that fail | |', '|---|---|---|---|');
  for (const [name, s] of [...all].sort(([a], [b]) => (a < b ? -1 : 1))) {
    say(`| ${name} | ${s.passed} | ${s.failed} | ${s.failed ? '**fails**' : 'passes'}${s.unscored ? `, not scored (${s.unscored})` : ''} |`);
  }
}
console.log(doc.join('\n'));
