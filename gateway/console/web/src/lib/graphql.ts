import { initGraphQLTada } from 'gql.tada';
import type { introspection } from '../graphql-env';

/** Any JSON value, as the scalar JSON carries it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Checks documents against the gateway's schema when the page is compiled, and types what they give. */
export const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { JSON: Json; Time: string; SafeInt: number; ID: string };
}>();

export type { ResultOf, VariablesOf } from 'gql.tada';
