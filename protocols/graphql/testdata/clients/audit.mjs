// Runs all audits of graphql-http, the reference suite of GraphQL over HTTP: node audit.mjs URL
import { auditServer } from 'graphql-http';
import { check, end, equal } from './check.mjs';

const results = await auditServer({ url: process.argv[2] });
await check('number of audits', () => equal(results.length, 61));
for (const { id, name, status, reason } of results) {
  await check(`${id} ${name}`, () => {
    if (status !== 'ok') throw new Error(`${status}: ${reason}`);
  });
}
end();
