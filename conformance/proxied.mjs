// Runs the official suite against servers that others wrote, each alone and
// through the gateway, and prints what came of it as the document
// docs/conformance-proxied.md: node proxied.mjs GATEWAY GO-SDK-SERVER
// It fails where the gateway loses a scenario that the server alone passes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run, sum, version } from './suite.mjs';
import { direct, offers, proxied, servers } from './upstreams.mjs';

const [gateway, sdk] = process.argv.slice(2);
if (!sdk) {
  console.error('usage: node proxied.mjs GATEWAY GO-SDK-SERVER');
  process.exit(2);
}

// A list of requirements has every scenario of its revision, and those of
// extensions; older revisions have no list.
const runs = new Map([
  ['2026-07-28', ['--requirements', '2026-07-28']],
  ['2025-11-25', ['--requirements', '2025-11-25']],
  ['2025-06-18', ['--suite', 'all', '--spec-version', '2025-06-18']],
  ['2025-03-26', ['--suite', 'all', '--spec-version', '2025-03-26']],
]);

// What a scenario asks for, where a server without it may pass all the same: by
// a tool error, or by following what does not exist.
const needs = {
  'tools-call-simple-text': 'test_simple_text',
  'tools-call-error': 'test_error_handling',
  'resources-subscribe': 'test://watched-resource',
  'resources-unsubscribe': 'test://watched-resource',
};

// What ends now so, now otherwise, where the server alone fails: in its session
// era the Go SDK turns the questions of a result into requests, in random order.
const varies = new Set(['input-required-result-capability-check']);

// suite runs them all, the newest revision last: its scenarios change the
// server, and leave calls that wait for answers.
async function suite(url) {
  const results = new Map();
  for (const [revision, args] of [...runs].reverse()) results.set(revision, await run('server', '--url', url, ...args));
  return results;
}

const work = mkdtempSync(join(tmpdir(), 'proxied-'));
const all = servers(gateway, sdk, work);
try {
  const jobs = all.toReversed().flatMap((s) => [ // The longest first.
    async () => { s.proxied = await proxied(gateway, work, s, suite); },
    async () => { if (s.start) s.direct = await direct(s, suite); },
    async () => { if (s.start) s.offers = await direct(s, offers); },
  ]);
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let job = jobs.shift(); job; job = jobs.shift()) await job();
  }));
} finally {
  rmSync(work, { recursive: true, force: true });
}

const passes = (x) => x !== undefined && x.failed === 0;
const absent = (s, name) => name in needs && s.offers && !s.offers.has(needs[name]);
// alone says how a scenario ends without the gateway.
const alone = (s, revision, name) => (s.direct ?? all.find((o) => o.name === s.like).direct).get(revision).get(name);

// verdict says what the gateway makes of a scenario.
function verdict(s, revision, name) {
  const before = alone(s, revision, name), after = s.proxied.get(revision).get(name);
  if (!passes(before) && varies.has(name)) return 'varies';
  if (passes(before) === passes(after)) return 'same';
  if (passes(after)) return 'gained';
  return absent(s, name) ? 'absent' : 'lost';
}

const lost = [];
for (const s of all) {
  for (const [revision, scenarios] of [...s.proxied].reverse()) {
    for (const name of scenarios.keys()) {
      if (verdict(s, revision, name) === 'lost') lost.push({ server: s.name, name, revision });
    }
  }
}

const doc = [];
const say = (...lines) => doc.push(...lines);
say('# MCP conformance of other servers through the gateway', '',
  `Measured with \`@modelcontextprotocol/conformance\` ${version}; \`make conformance\` repeats it and fails if this page says`,
  'anything else, or where a scenario that a server passes alone fails through the gateway. Each server is started anew',
  'for each of the two and is the only source of a gateway that puts no prefix before its names. A gateway answers in its',
  'own way where the protocol leaves that open: as JSON until there is more to say, where others begin a stream at once',
  '(`server-sse-*`), and with `list_changed` when a list has changed, where the server says so whenever it has looked',
  '(`server-stateless`).', '',
  '| server | |', '|---|---|',
  '| Go SDK, stateless | the conformance server of the MCP Go SDK, which serves revision 2026-07-28 in this mode |',
  '| Go SDK, sessions | the same with sessions, for the revisions before |',
  '| Go SDK, stdio | the same as a program, which the suite cannot reach alone: what the first does is what this ought to do |',
  '| Go SDK, stdio of old | the same in the session era, compared with the second |',
  '| server-everything | `@modelcontextprotocol/server-everything`, of revision 2025-11-25, which has few of the things that scenarios ask for |',
  '| Trilith | `gateway dev --conformance`, the only one with tasks |', '',
  '| server | revision | scenarios that pass alone | that pass through the gateway | gained | lost |', '|---|---|---|---|---|---|');
for (const s of all) {
  for (const [revision, scenarios] of [...s.proxied].reverse()) {
    const count = (v) => sum(scenarios, (_, name) => +(verdict(s, revision, name) === v));
    const before = sum(scenarios, (_, name) => +passes(alone(s, revision, name)));
    const note = count('absent') ? ` (and ${count('absent')} that ask for what the server does not have)` : '';
    say(`| ${s.name} | ${revision} | ${before} | ${sum(scenarios, (x, name) => +(passes(x) && verdict(s, revision, name) !== 'varies'))} of ${scenarios.size} | ${count('gained')} | ${count('lost')}${note} |`);
  }
}
for (const revision of runs.keys()) {
  say('', `## Revision ${revision}`, '', 'Checks that pass, and, after a stroke, those that fail: alone → through the gateway.', '',
    `| scenario | ${all.map((s) => s.name).join(' | ')} |`, `|---|${'---|'.repeat(all.length)}`);
  const names = new Set(all.flatMap((s) => [...s.proxied.get(revision).keys()]));
  const cell = (x) => (x ? `${x.passed}${x.failed ? `/${x.failed}` : ''}` : '');
  for (const name of [...names].sort()) {
    say(`| ${name} | ${all.map((s) => {
      const v = verdict(s, revision, name);
      const text = `${cell(alone(s, revision, name))} → ${v === 'varies' ? 'varies' : cell(s.proxied.get(revision).get(name))}`;
      return v === 'lost' ? `**${text}**` : text;
    }).join(' | ')} |`);
  }
}
console.log(doc.join('\n'));
for (const { server, name, revision } of lost) console.error(`lost through the gateway: ${server}, ${name}, revision ${revision}`);
process.exitCode = lost.length > 0 ? 1 : 0;
