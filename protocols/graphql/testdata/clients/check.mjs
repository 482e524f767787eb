// A tiny test harness: checks run in order, and the first failure of each is told with what was found.
import { isDeepStrictEqual } from 'node:util';

let failures = 0;

export const check = async (name, run) => {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (e) {
    failures++;
    console.log(`FAILED ${name}: ${e.message}`);
  }
};

export const equal = (got, want) => {
  if (!isDeepStrictEqual(got, want)) throw new Error(`got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
};

export const end = () => process.exit(failures === 0 ? 0 : 1);

// collect runs one operation of graphql-ws or graphql-sse to its end.
export const collect = (client, payload) => new Promise((resolve) => {
  const results = [];
  client.subscribe(payload, {
    next: (value) => results.push(value),
    error: (error) => resolve({ results, error }),
    complete: () => resolve({ results }),
  });
});
