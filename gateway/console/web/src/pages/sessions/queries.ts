import { graphql } from '../../lib/graphql';

export const sessionsQuery = graphql(`
  query Sessions($principal: String) {
    viewer {
      session
    }
    admin {
      sessions(principal: $principal) {
        totalCount
        missingNodes
        nodes {
          id
          node
          via
          kind
          principal
          principalName
          opened
        }
      }
    }
  }
`);

export const connectionsQuery = graphql(`
  query Connections($principal: String) {
    admin {
      connections(principal: $principal) {
        totalCount
        nodes {
          principal
          tenant
          source
          since
        }
      }
    }
  }
`);

export const endSession = graphql(`
  mutation EndSession($id: ID!) {
    endSession(id: $id)
  }
`);

export const endConnection = graphql(`
  mutation EndConnection($principal: String!, $source: String!, $tenant: String) {
    endConnection(principal: $principal, source: $source, tenant: $tenant) {
      revoked
    }
  }
`);

export const revokeCredentials = graphql(`
  mutation RevokeCredentials($principal: String, $tokenId: String, $issuer: String, $reason: String) {
    revokeCredentials(principal: $principal, tokenId: $tokenId, issuer: $issuer, reason: $reason) {
      ended
    }
  }
`);
