// Reads paths of GraphQL schemas from standard input, one a line, and says what graphql-js finds wrong with each.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { buildSchema, validateSchema } from 'graphql';

let read = 0;
for await (const path of createInterface({ input: process.stdin })) {
  const errors = [];
  try {
    errors.push(...validateSchema(buildSchema(readFileSync(path, 'utf8'))));
  } catch (error) {
    errors.push(error);
  }
  for (const error of errors.slice(0, 5)) console.log(`${path}: ${error.message}`);
  read++;
}
console.log(`read ${read}`);
