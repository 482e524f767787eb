import { graphql } from '../../lib/graphql';

export const recordsQuery = graphql(`
  query AuditRecords($first: Int, $after: String, $filter: AuditFilter, $oldestFirst: Boolean!) {
    admin {
      auditRecords(first: $first, after: $after, filter: $filter, oldestFirst: $oldestFirst) {
        nodes
        endCursor
      }
    }
  }
`);

export const recordEvents = graphql(`
  subscription AuditTail($filter: AuditFilter) {
    auditRecords(filter: $filter) {
      record
      dropped
    }
  }
`);

export const proofQuery = graphql(`
  query AuditProof($seq: SafeInt!) {
    admin {
      auditProof(seq: $seq) {
        record
        checkpoint
        index
        size
        hashes
      }
    }
  }
`);

export const verifyQuery = graphql(`
  query VerifyAuditLog {
    admin {
      verifyAuditLog {
        ok
        records
        problem
      }
    }
  }
`);
