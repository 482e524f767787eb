import { useMemo } from 'react';
import { useQuery } from 'urql';
import { Link, useSearchParams } from 'wouter';
import { useRights } from '../../app/rights';
import { cut, moment } from '../../lib/format';
import { Failures, Loading, Panel } from '../../ui';
import { parse } from './csv';
import { NewDraft } from './drafts';
import { FileNote, fileOf, PolicyPage } from './frame';
import { Editor } from './lazy';
import { policyQuery } from './queries';
import { Roles } from './roles';
import { Rules } from './rules';
import { Views } from './views';

const views = [
  ['rules', 'Rules'],
  ['text', 'Text'],
  ['roles', 'Roles'],
  ['checks', 'Checks'],
] as const;

/** The policy in force. */
export function Current() {
  const [{ data, error, fetching }] = useQuery({ query: policyQuery, requestPolicy: 'cache-and-network' });
  const [params, setParams] = useSearchParams();
  const can = useRights();
  const policy = data?.admin.policy;
  const parsed = useMemo(() => parse(policy?.csv ?? ''), [policy?.csv]);
  const view = params.get('view') ?? 'rules';
  const search = params.get('q') ?? '';
  const onSearch = (q: string) =>
    setParams(
      (p) => {
        if (q) p.set('q', q);
        else p.delete('q');
        return p;
      },
      { replace: true },
    );
  const file = policy ? fileOf(policy) : '';
  return (
    <PolicyPage
      title="Policy"
      hint="Who may use what, for every door at once. What no rule allows is denied; a rule that denies wins."
      actions={policy && !file && can('policy', 'admin') && <NewDraft />}
    >
      <Failures error={error} />
      {!policy && fetching && <Loading what="the policy" />}
      {policy && (
        <>
          {file && <FileNote file={cut(file, 300)} />}
          <Panel title={policy.id === 0 ? 'The built-in policy' : `Version ${policy.id}`}>
            {policy.id > 0 && (
              <p className="muted">
                In force since {moment(policy.activated)}, put there by {cut(policy.activatedBy, 200)}
                {policy.restores > 0 && <>, with the text of version {policy.restores}</>}
                {policy.comment && <>: {cut(policy.comment, 500)}</>}. <Link href="/policy/history">All versions</Link>
              </p>
            )}
            <Views label="Show the policy as" views={views} view={view} path="/policy" />
            {view === 'rules' && <Rules rules={parsed.rules} search={search} onSearch={onSearch} />}
            {view === 'roles' && <Roles policy={parsed} />}
            {view === 'text' && <Editor key="text" label="The rules in force" value={policy.csv} />}
            {view === 'checks' &&
              (policy.checks ? (
                <Editor key="checks" label="The checks of this version" value={policy.checks} language="text" />
              ) : (
                <p className="muted">This version has no checks. A draft can bring some, which then must hold.</p>
              ))}
          </Panel>
        </>
      )}
    </PolicyPage>
  );
}
