// Starts the official suite.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const suite = join(here, 'node_modules/@modelcontextprotocol/conformance');
const shim = process.versions.node.split('.')[0] < 22 ? ['--import', join(here, 'shim/register.mjs')] : [];

export const { version } = JSON.parse(readFileSync(join(suite, 'package.json'), 'utf8'));

// run starts the suite once and returns its scenarios with the number of
// checks that passed, failed and warned, and why a scenario is not scored.
export async function run(...args) {
  const out = mkdtempSync(join(tmpdir(), 'conformance-'));
  try {
    const child = spawn(process.execPath, [...shim, join(suite, 'dist/index.js'), ...args, '-o', out], {
      stdio: ['ignore', 'pipe', 'pipe'], timeout: 10 * 60_000,
    });
    const [said, complained] = await Promise.all([child.stdout, child.stderr].map(text));
    const scenarios = new Map();
    for (const line of said.split('\n')) {
      const m = /^[✓✗] (\S+): (\d+) passed, (\d+) failed(?:, (\d+) warnings)?/.exec(line);
      if (m) scenarios.set(m[1], { passed: +m[2], failed: +m[3], warned: +(m[4] ?? 0) });
      const n = /^ {2}[✓✗] (\S+) \((.+)\)$/.exec(line);
      if (n && scenarios.has(n[1])) scenarios.get(n[1]).unscored = n[2];
    }
    if (scenarios.size === 0) throw new Error(`the suite ran nothing: ${complained}`);
    return scenarios;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

// sum adds up what f says of each scenario and its name.
export const sum = (all, f) => [...all].reduce((n, [name, s]) => n + f(s, name), 0);
