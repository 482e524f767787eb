import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { useViewer } from '../../app/session';
import { Failures, Loading } from '../../ui';
import { Checks } from './checks';
import { PolicyPage } from './frame';
import { keep, readKept } from './kept';
import css from './policy.module.css';
import { policyQuery } from './queries';
import { Review } from './review';
import { Write } from './write';

const name = 'try'; // What is typed here is kept as drafts are.

/** Rules that are tried out, and never come into force. */
export function Try() {
  const viewer = useViewer().id;
  const [{ data, error, fetching }] = useQuery({ query: policyQuery });
  const policy = data?.admin.policy;
  const [typed, set] = useState(() => readKept(viewer, name));
  const now = typed ?? (policy ? { csv: policy.csv, checks: policy.checks, comment: '', revision: 0 } : undefined);
  useEffect(() => {
    if (typed) keep(viewer, name, typed);
  }, [viewer, typed]);
  return (
    <PolicyPage
      title="Try out"
      hint="Rules that are linted, tested and compared with recorded calls, without a draft. Nothing here comes into force."
    >
      <Failures error={error} />
      {!now && fetching && <Loading what="the policy" />}
      {now && (
        <>
          <div className={css.workspace}>
            <Write csv={now.csv} onChange={(csv) => set({ ...now, csv })} />
            <Checks csv={now.csv} checks={now.checks} onChange={(checks) => set({ ...now, checks })} />
          </div>
          <Review title="What it would do" label="Look" subject={{ ...now, inForce: policy?.csv ?? '' }} />
        </>
      )}
    </PolicyPage>
  );
}
