import { type ReactNode, useState } from 'react';
import { useMutation } from 'urql';
import { count, cut, duration, moment, plain } from '../../lib/format';
import { graphql } from '../../lib/graphql';
import { Badge, ConfirmButton, Failures, Field, Note, Panel, type Tone } from '../../ui';
import type { Canary } from './sources';
import css from './sources.module.css';

const shiftMutation = graphql(`
  mutation ShiftCanary($source: String!, $percent: Int!) {
    shiftCanary(source: $source, percent: $percent) { phase percent }
  }
`);
const promoteMutation = graphql(`
  mutation PromoteCanary($source: String!) {
    promoteCanary(source: $source) { phase percent }
  }
`);
const abortMutation = graphql(`
  mutation AbortCanary($source: String!, $reason: String!) {
    abortCanary(source: $source, reason: $reason) { phase percent }
  }
`);

const tones: Record<string, Tone> = { running: 'accent', promoted: 'good', aborted: 'bad' };
const failed = (share: Canary['stable']) =>
  share?.calls ? `${((100 * share.failed) / share.calls).toFixed(1)} % (${count(share.failed)})` : '–';

/** New endpoints of a source beside the others: how they compare, and how many calls they get. */
export function CanaryPanel({ source, canary, mayChange }: { source: string; canary: Canary; mayChange: boolean }) {
  const rows: [string, Canary['stable']][] = [
    ['stable', canary.stable],
    ['canary', canary.canary],
  ];
  return (
    <Panel
      title="Canary"
      actions={
        <Badge tone={tones[canary.phase]}>
          {plain(canary.phase)} at {canary.percent} %
        </Badge>
      }
    >
      {canary.reason && <Note tone="warn">Aborted: {cut(canary.reason, 1_000)}</Note>}
      <div className="scroll">
        <table>
          <caption className="visually-hidden">How the canary does, compared with the stable endpoints</caption>
          <thead>
            <tr>
              <th scope="col">{canary.since ? `Since ${moment(canary.since)}` : 'Endpoints'}</th>
              <th scope="col" className="number">
                Calls
              </th>
              <th scope="col" className="number">
                Failed
              </th>
              <th scope="col" className="number">
                Latency
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, share]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td className="number">{count(share?.calls ?? 0)}</td>
                <td className="number">{failed(share)}</td>
                <td className="number nowrap">{share?.calls ? duration(share.latencyMs) : '–'}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {mayChange && <Steps source={source} canary={canary} />}
    </Panel>
  );
}

/** What an administrator can do with it; each asks first. The live state shows what came of it. */
function Steps({ source, canary }: { source: string; canary: Canary }) {
  const [percent, setPercent] = useState(String(canary.percent));
  const [reason, setReason] = useState('');
  const [, shift] = useMutation(shiftMutation);
  const [, promote] = useMutation(promoteMutation);
  const [, abort] = useMutation(abortMutation);
  const wanted = /^\d{1,3}$/.test(percent.trim()) ? Number(percent) : Number.NaN;
  const valid = wanted >= 0 && wanted <= 100;
  const done = async (answer: Promise<{ error?: Parameters<typeof Failures>[0]['error'] }>): Promise<ReactNode> => {
    const { error } = await answer;
    return error ? <Failures error={error} /> : undefined;
  };
  const here = 'It holds on all nodes within moments.';
  return (
    <div className={`row ${css.steps}`}>
      <div className={css.percent}>
        <Field
          label="Percent"
          value={percent}
          onChange={setPercent}
          inputMode="numeric"
          error={valid ? undefined : 'From 0 to 100'}
        />
      </div>
      <ConfirmButton
        label="Shift"
        title="Shift calls to the canary"
        confirm={`Give it ${valid ? wanted : '…'} %`}
        isDisabled={!valid}
        act={() => done(shift({ source, percent: wanted }))}
      >
        <p>
          The canary of {plain(source)} gets {valid ? wanted : '…'} of a hundred calls in place of {canary.percent}, and
          is compared from now on. {here}
        </p>
      </ConfirmButton>
      <ConfirmButton label="Promote" title="Promote the canary" confirm="Promote" act={() => done(promote({ source }))}>
        <p>
          The canary of {plain(source)} gets every call and is not compared any more. {here}
        </p>
      </ConfirmButton>
      <ConfirmButton
        label="Abort"
        title="Abort the canary"
        confirm="Abort"
        danger
        isDisabled={canary.phase === 'aborted'}
        act={() => done(abort({ source, reason }))}
      >
        <p>
          The canary of {plain(source)} gets no calls any more. {here}
        </p>
        <Field label="Why" hint="For who looks later." value={reason} onChange={setReason} maxLength={200} />
      </ConfirmButton>
    </div>
  );
}
