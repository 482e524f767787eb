import type { CombinedError } from '@urql/core';
import { useCallback, useRef, useState } from 'react';
import { useClient } from 'urql';
import { diff, parse } from './csv';
import {
  type Diff,
  draftDiffQuery,
  type Impact,
  impactQuery,
  lintQuery,
  type Problem,
  type TestResult,
  testQuery,
} from './queries';

/** What is to be looked at: rules and checks, of a saved draft or of none. */
export type Subject = { csv: string; checks: string; draft?: string; inForce: string };

type Part<T> = { data?: T; error?: CombinedError };
export type Findings = {
  of: Subject;
  days: number;
  lint: Part<Problem[]>;
  diff: Part<Diff>;
  tests: Part<TestResult>;
  impact: Part<Impact>;
};

/** Asks the gateway what rules would do. Answers about something that is not asked any more are dropped. */
export function useReview() {
  const client = useClient();
  const [busy, setBusy] = useState(false);
  const [findings, set] = useState<Findings>();
  const turn = useRef(0);

  const run = useCallback(
    async (of: Subject, days: number) => {
      const mine = ++turn.current;
      setBusy(true);
      const fresh = { requestPolicy: 'network-only' } as const;
      const csv = of.csv || '\n'; // To the gateway no text is no question.
      const [lint, changes, tests, impact] = await Promise.all([
        client.query(lintQuery, { csv }, fresh).toPromise(),
        of.draft === undefined ? undefined : client.query(draftDiffQuery, { draft: of.draft }, fresh).toPromise(),
        client.query(testQuery, { csv, checks: of.checks || '\n' }, fresh).toPromise(),
        client.query(impactQuery, { csv, days }, fresh).toPromise(),
      ]);
      if (mine !== turn.current) return;
      set({
        of,
        days,
        lint: { data: lint.data?.admin.lintPolicy ?? undefined, error: lint.error },
        diff: changes
          ? { data: changes.data?.admin.diffPolicy ?? undefined, error: changes.error }
          : { data: diff(parse(of.inForce), parse(of.csv)) },
        tests: { data: tests.data?.admin.testPolicy ?? undefined, error: tests.error },
        impact: { data: impact.data?.admin.policyImpact ?? undefined, error: impact.error },
      });
      setBusy(false);
    },
    [client],
  );
  return { run, busy, findings };
}
