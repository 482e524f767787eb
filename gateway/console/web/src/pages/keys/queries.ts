import { graphql } from '../../lib/graphql';

export const keysQuery = graphql(`
  query Keys {
    admin {
      keys {
        id
        subject
        label
        groups
        roles
        scopes
        tenant
        createdBy
        created
        expires
        lastUsed
        revoked
      }
    }
  }
`);

export const createKey = graphql(`
  mutation CreateKey(
    $subject: String!
    $ttlSeconds: SafeInt!
    $label: String
    $groups: [String!]
    $roles: [String!]
    $scopes: [String!]
    $tenant: String
  ) {
    createKey(
      subject: $subject
      ttlSeconds: $ttlSeconds
      label: $label
      groups: $groups
      roles: $roles
      scopes: $scopes
      tenant: $tenant
    ) {
      secret
    }
  }
`);

export const revokeKey = graphql(`
  mutation RevokeKey($id: ID!) {
    revokeKey(id: $id)
  }
`);
