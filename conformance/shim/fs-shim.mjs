// node:fs with the one function that the suite imports and Node 20 lacks.
export * from 'node:fs';
export { default } from 'node:fs';
export function globSync() {
  throw new Error('globSync needs Node 22');
}
