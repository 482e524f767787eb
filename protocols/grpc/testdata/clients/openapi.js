// node openapi.js < DOCUMENT: validates an OpenAPI document against the
// specification's own schema.
import { Validator } from '@seriousme/openapi-schema-validator';
import { text } from 'node:stream/consumers';

const result = await new Validator().validate(JSON.parse(await text(process.stdin)));
if (!result.valid) {
  console.log(JSON.stringify(result.errors, null, 1));
  process.exit(1);
}
