// Runs the official suite against a client and prints what came of it as the
// document docs/conformance-client.md: node client.mjs COMMAND
import { run, sum, version } from './suite.mjs';

const command = process.argv[2];
if (!command) {
  console.error('usage: node client.mjs COMMAND');
  process.exit(2);
}

const bad = (s) => s.failed + s.warned > 0;
const doc = [];
const say = (...lines) => doc.push(...lines);

say('# MCP conformance of the upstream client', '',
  `Measured with \`@modelcontextprotocol/conformance\` ${version} against \`conformance/client\`, a program around the client`,
  'that the gateway uses for its sources; `make conformance` repeats it and fails if this page says anything else.',
  'The scenarios `auth/*` that are about a user\'s consent take tokens from the authorization code handler of the MCP Go',
  'SDK through `mcp.Authorizer`; `auth/dpop*` bind them to the key of an `mcp.DPoPKey`. `auth/client-credentials-*`,',
  '`auth/enterprise-managed-authorization` and `auth/wif-jwt-bearer` use the gateway\'s own OAuth client.', '',
  '| run | scenarios that pass | that fail | checks that pass | that fail or warn |', '|---|---|---|---|---|');
const required = new Map();
for (const r of ['2025-11-25', '2026-07-28']) required.set(r, await run('client', '--command', command, '--requirements', r));
const row = (name, all) => say(`| ${name} | ${sum(all, (s) => +!bad(s))} | ${sum(all, (s) => +bad(s))} | ${sum(all, (s) => s.passed)} | ${sum(all, (s) => s.failed + s.warned)} |`);
for (const [revision, all] of required) {
  row(`requirements ${revision}, scored`, new Map([...all].filter(([, s]) => !s.unscored)));
  row(`requirements ${revision}, not scored`, new Map([...all].filter(([, s]) => s.unscored)));
}
for (const [revision, all] of required) {
  say('', `## Requirements ${revision}`, '', '| scenario | checks that pass | that fail or warn | |', '|---|---|---|---|');
  for (const [name, s] of [...all].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const outcome = bad(s) ? '**fails**' : 'passes';
    say(`| ${name} | ${s.passed} | ${s.failed + s.warned} | ${outcome}${s.unscored ? `, not scored (${s.unscored})` : ''} |`);
  }
}
console.log(doc.join('\n'));
