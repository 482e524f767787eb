import { graphql, type ResultOf } from '../../lib/graphql';

export const policyQuery = graphql(`
  query Policy {
    admin {
      policy { id parent sha256 author comment activated activatedBy csv checks restores }
    }
  }
`);

export const draftsQuery = graphql(`
  query PolicyDrafts {
    admin {
      policy { id author activatedBy }
      policyDrafts { id revision base author comment changed }
    }
  }
`);

export const draftQuery = graphql(`
  query PolicyDraft($id: ID!) {
    admin {
      policy { id csv activated activatedBy }
      policyDraft(id: $id) { id revision base csv checks author comment changed }
    }
  }
`);

export const createDraft = graphql(`
  mutation CreatePolicyDraft($comment: String) {
    createPolicyDraft(comment: $comment) { id revision }
  }
`);

export const saveDraft = graphql(`
  mutation SavePolicyDraft($id: ID!, $revision: SafeInt!, $csv: String!, $checks: String!, $comment: String!, $rebase: Boolean!) {
    savePolicyDraft(id: $id, revision: $revision, csv: $csv, checks: $checks, comment: $comment, rebase: $rebase) {
      draft { id revision base }
      failures { line text reason }
    }
  }
`);

export const discardDraft = graphql(`
  mutation DiscardPolicyDraft($id: ID!, $revision: SafeInt!) {
    discardPolicyDraft(id: $id, revision: $revision)
  }
`);

export const activateDraft = graphql(`
  mutation ActivatePolicy($id: ID!, $revision: SafeInt!) {
    activatePolicy(id: $id, revision: $revision) { id }
  }
`);

export const rollback = graphql(`
  mutation RollbackPolicy($to: SafeInt!, $active: SafeInt!) {
    rollbackPolicy(to: $to, active: $active) { id }
  }
`);

export const lintQuery = graphql(`
  query LintPolicy($csv: String!) {
    admin {
      lintPolicy(csv: $csv) { line column message hint warning }
    }
  }
`);

export const testQuery = graphql(`
  query TestPolicy($csv: String!, $checks: String!) {
    admin {
      testPolicy(csv: $csv, checks: $checks) {
        checks
        failures { line text reason }
        problems { line column message hint warning }
      }
    }
  }
`);

export const draftDiffQuery = graphql(`
  query DiffPolicyDraft($draft: ID!) {
    admin {
      diffPolicy(draft: $draft) { added removed }
    }
  }
`);

export const impactQuery = graphql(`
  query PolicyImpact($csv: String!, $days: Int!) {
    admin {
      policyImpact(csv: $csv, days: $days) {
        calls
        changed
        undecided
        truncated
        changes {
          principal principalName object action before after beforeRule afterRule calls last examples
        }
      }
    }
  }
`);

export const versionsQuery = graphql(`
  query PolicyVersions($first: Int!, $after: String) {
    admin {
      policyVersions(first: $first, after: $after) {
        nodes { id parent author comment activated activatedBy active restores }
        endCursor
      }
    }
  }
`);

export const versionQuery = graphql(`
  query PolicyVersion($id: SafeInt!) {
    admin {
      policy { id }
      policyVersion(id: $id) { id parent sha256 author comment activated activatedBy active restores csv checks }
    }
  }
`);

export const versionTextQuery = graphql(`
  query PolicyVersionText($id: SafeInt!) {
    admin {
      policyVersion(id: $id) { id csv checks }
    }
  }
`);

export const explainQuery = graphql(`
  query ExplainPolicy($who: PolicySubject!, $object: String!, $action: String, $arguments: JSON, $via: String) {
    admin {
      explainPolicy(who: $who, object: $object, action: $action, arguments: $arguments, via: $via) {
        allowed reason rule line path
        nearMisses { rule line difference }
      }
    }
  }
`);

export const permissionsQuery = graphql(`
  query Permissions($who: PolicySubject!) {
    admin {
      permissions(who: $who) { object action rule line path conditional }
    }
  }
`);

export const granteesQuery = graphql(`
  query Grantees($object: String!, $action: String) {
    admin {
      grantees(object: $object, action: $action) {
        truncated
        nodes { subject tenant rule line path conditional }
      }
    }
  }
`);

export const capabilitySearch = graphql(`
  query PolicyCapabilities($search: String!) {
    tools(first: 30, filter: { search: $search }) { nodes { name source } }
    resources(first: 15, filter: { search: $search }) { nodes { uri source } }
    resourceTemplates(first: 15, filter: { search: $search }) { nodes { uriTemplate source } }
    prompts(first: 15, filter: { search: $search }) { nodes { name source } }
  }
`);

type Admin<T extends { admin: object }> = T['admin'];
export type Problem = NonNullable<Admin<ResultOf<typeof lintQuery>>['lintPolicy']>[number];
export type TestResult = NonNullable<Admin<ResultOf<typeof testQuery>>['testPolicy']>;
export type Impact = NonNullable<Admin<ResultOf<typeof impactQuery>>['policyImpact']>;
export type ImpactChange = Impact['changes'][number];
export type Diff = NonNullable<Admin<ResultOf<typeof draftDiffQuery>>['diffPolicy']>;
export type Draft = NonNullable<Admin<ResultOf<typeof draftQuery>>['policyDraft']>;
export type DraftEntry = NonNullable<Admin<ResultOf<typeof draftsQuery>>['policyDrafts']>[number];
export type VersionEntry = NonNullable<Admin<ResultOf<typeof versionsQuery>>['policyVersions']>['nodes'][number];
export type InForce = NonNullable<Admin<ResultOf<typeof draftQuery>>['policy']>;
