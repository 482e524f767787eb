// Writes the gateway's GraphQL schema as one file, from which gql.tada makes the types that documents are checked against.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { buildSchema, printSchema } from 'graphql';

const dir = new URL('../../../../schema/', import.meta.url);
const files = readdirSync(dir).filter((f) => f.endsWith('.graphqls') && f !== 'typed.graphqls'); // Its types are known only at run time.
const sdl = files.sort().map((f) => readFileSync(new URL(f, dir), 'utf8'));
writeFileSync('schema.graphql', printSchema(buildSchema(sdl.join('\n'))));
