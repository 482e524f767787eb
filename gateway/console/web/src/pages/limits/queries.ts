import { graphql, type ResultOf } from '../../lib/graphql';

export const limitsQuery = graphql(`
  query Limits($key: String) {
    admin {
      limits(first: 100, key: $key) {
        revision
        totalCount
        rules {
          name
          per
          roles
          tools
          sources
          actions
          rate
          burst
          admitted
          refused
        }
        overrides {
          per
          key
          rate
          burst
          unlimited
          expires
          created
          createdBy
          reason
        }
        buckets {
          rule
          per
          key
          tokens
          burst
          retryMs
        }
      }
    }
  }
`);

export const setOverride = graphql(`
  mutation SetLimitOverride(
    $per: String!
    $key: String
    $rate: String
    $burst: SafeInt
    $ttlSeconds: SafeInt!
    $reason: String
    $revision: SafeInt
  ) {
    setLimitOverride(
      per: $per
      key: $key
      rate: $rate
      burst: $burst
      ttlSeconds: $ttlSeconds
      reason: $reason
      revision: $revision
    ) {
      revision
    }
  }
`);

export const removeOverride = graphql(`
  mutation RemoveLimitOverride($per: String!, $key: String, $revision: SafeInt) {
    removeLimitOverride(per: $per, key: $key, revision: $revision)
  }
`);

export type Limits = NonNullable<ResultOf<typeof limitsQuery>['admin']['limits']>;
export type Rule = Limits['rules'][number];
export type Override = Limits['overrides'][number];
export type Bucket = Limits['buckets'][number];
/** Whose limit it is: a kind and a key. */
export type Whose = { per: string; key: string };
