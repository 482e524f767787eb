import { useClient, useQuery } from 'urql';
import { useLocation } from 'wouter';
import { ConfirmButton, Failures, Loading } from '../../ui';
import { diff, parse } from './csv';
import { DiffList } from './findings';
import { policyQuery, rollback, versionTextQuery } from './queries';

/** Puts the text of an earlier version in force again, after it has said what that changes. */
export function Rollback({ to, active }: { to: number; active: number }) {
  const client = useClient();
  const [, navigate] = useLocation();
  const act = async () => {
    const { data, error } = await client.mutation(rollback, { to, active }).toPromise();
    if (!data?.rollbackPolicy) return <Failures error={error} />;
    navigate(`/policy/history/${data.rollbackPolicy.id}`);
    return undefined;
  };
  return (
    <ConfirmButton label="Roll back to it…" title={`Roll back to version ${to}`} confirm="Roll back" act={act}>
      <p>Its text becomes a new version, on every node at once. What that does not allow any more ends.</p>
      <Changes to={to} />
    </ConfirmButton>
  );
}

function Changes({ to }: { to: number }) {
  const [now] = useQuery({ query: policyQuery });
  const [then] = useQuery({ query: versionTextQuery, variables: { id: to } });
  const before = now.data?.admin.policy;
  const after = then.data?.admin.policyVersion;
  if (!before || !after) return now.error || then.error ? <Failures error={now.error ?? then.error} /> : <Loading />;
  const changes = diff(parse(before.csv), parse(after.csv));
  if (changes.added.length + changes.removed.length === 0) return <p>No rule differs from the version in force.</p>;
  return <DiffList diff={changes} />;
}
