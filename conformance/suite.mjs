// Starts the official suite.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance');
const shim = process.versions.node.split('.')[0] < 22 ? ['--import', join(here, 'shim/register.mjs')] : [];

export const { version } = JSON.parse(readFileSync(join(suite, 'package.json'), 'utf8'));

// run starts the suite once and returns its scenarios with the number of
// checks that passed, failed and warned, and why a scenario is not scored.
export function run(...args) {
  const out = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const r = spawnSync(process.execPath, [...shim, join(suite, 'dist/index.js'), ...args, '-o', out], {
      encoding: 'utf8', maxBuffer: 1 << 28, timeout: 10 * 60_000,
    });
    const scenarios = new Map();
    for (const line of (r.stdout ?? '').split('\n')) {
      const m = /^[✓✗] (\S+): (\d+) passed, (\d+) failed(?:, (\d+) warnings)?/.exec(line);
      if (m) scenarios.set(m[1], { passed: +m[2], failed: +m[3], warned: +(m[4] ?? 0) });
      const n = /^ {2}[✓✗] (\S+) \((.+)\)$/.exec(line);
      if (n && scenarios.has(n[1])) scenarios.get(n[1]).unscored = n[2];
    }
    if (scenarios.size === 0) throw new Error(`the suite ran nothing: ${r.error ?? r.stderr}`);
    return scenarios;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

// sum adds up what f says of each scenario.
export const sum = (all, f) => [...all.values()].reduce((n, s) => n + f(s), 0);
