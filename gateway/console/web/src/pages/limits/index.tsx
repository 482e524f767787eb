import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useQuery } from 'urql';
import { useSearchParams } from 'wouter';
import { useRights } from '../../app/rights';
import { Failures, Loading, Page } from '../../ui';
import { Buckets } from './buckets';
import { OverrideForm } from './form';
import { Overrides } from './overrides';
import { type Limits, limitsQuery, type Whose } from './queries';
import { Rules } from './rules';

/** How many calls may come in a time: the rules, what overrides them, and who is near a limit. */
export default function LimitsPage() {
  const [params, setParams] = useSearchParams();
  const key = params.get('key') ?? '';
  const [{ data, error, fetching }, again] = useQuery({
    query: limitsQuery,
    variables: { key: key || null },
    requestPolicy: 'network-only',
  });
  const reload = () => again({ requestPolicy: 'network-only' });
  const [edited, setEdited] = useState<{ of: Partial<Whose>; limits: Limits }>();
  const admin = useRights()('limits', 'admin');
  const limits = data?.admin.limits;
  const edit = admin && limits ? (of: Partial<Whose>) => setEdited({ of, limits }) : undefined;
  return (
    <Page
      title="Limits"
      hint="How many calls may come in a time, and what overrides that for a while."
      actions={
        <>
          <Button onPress={reload}>Read again</Button>
          {edit && (
            <Button className="react-aria-Button primary" onPress={() => edit({})}>
              Override a limit
            </Button>
          )}
        </>
      }
    >
      <Failures error={error} />
      {!limits && fetching && <Loading what="limits" />}
      {limits && (
        <>
          <Overrides limits={limits} onEdit={edit} onDone={reload} />
          <Buckets
            limits={limits}
            wanted={key}
            onFind={(wanted) => setParams(wanted ? { key: wanted } : {}, { replace: true })}
            onEdit={edit}
          />
          <Rules rules={limits.rules} />
        </>
      )}
      {edited && <OverrideForm {...edited} onClose={() => setEdited(undefined)} onDone={reload} />}
    </Page>
  );
}
