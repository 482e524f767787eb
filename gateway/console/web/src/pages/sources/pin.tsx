import { type ReactNode, useEffect, useRef } from 'react';
import { useQuery } from 'urql';
import { Link } from 'wouter';
import { useRights } from '../../app/rights';
import { cut, moment, plain } from '../../lib/format';
import { graphql, type ResultOf } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import { Badge, Code, Empty, Failures, Loading, Note, Page, Panel } from '../../ui';
import { Decide } from './decide';
import { indent, spelt } from './definition';
import { pinsOf } from './pins';
import { pathOf, pinTone, useSources } from './sources';
import css from './sources.module.css';

const pinQuery = graphql(`
  query Pin($id: ID!) {
    admin {
      pin(id: $id) {
        id source kind name state served hash approvedHash since decidedBy decided hidden
        changes { path old new }
        definition
        approvedDefinition
      }
    }
  }
`);
const offerChanged = graphql(`
  subscription PinOfferChanged {
    capabilitiesChanged { __typename }
  }
`);
export type Pin = NonNullable<ResultOf<typeof pinQuery>['admin']['pin']>;

/** One pinned definition: what was approved, what is offered, how they differ, and what to do about it. */
export function PinDetail({ id, source }: { id: string; source: string }) {
  const [{ data, error, fetching }, again] = useQuery({
    query: pinQuery,
    variables: { id },
    requestPolicy: 'network-only',
  });
  const { sources } = useSources();
  const can = useRights();
  const pin = data?.admin.pin;

  const now = pinsOf(sources?.filter((s) => s.name === source));
  const seen = useRef(now);
  const first = useRef('');
  if (pin && !first.current) first.current = pin.hash;
  const reload = () => again({ requestPolicy: 'network-only' });
  const latest = useRef(reload);
  latest.current = reload;
  useLive(offerChanged, {}, reload); // Approved and changed at once, the source looks as it did before.
  useEffect(() => {
    if (seen.current !== '' && seen.current !== now) latest.current();
    seen.current = now;
  }, [now]);

  const up = (
    <>
      <Link href="/sources">Sources</Link> · <Link href={pathOf(source)}>{cut(source, 100)}</Link>
    </>
  );
  if (!pin) {
    return (
      <Page title="Pinned definition" hint={up}>
        <Failures error={error} />
        {fetching && <Loading />}
        {!fetching && !error && (
          <Empty title="There is no such definition">
            The source may not offer it any more. <Link href="/sources">See all pinned definitions.</Link>
          </Empty>
        )}
      </Page>
    );
  }
  return (
    <Page
      title={cut(pin.name, 200)}
      hint={
        <>
          {up} · {plain(pin.kind)}
        </>
      }
      actions={
        <>
          <Badge tone={pinTone[pin.state]}>{plain(pin.state)}</Badge>
          <Badge tone={pin.served ? 'good' : 'none'}>{pin.served ? 'served' : 'not served'}</Badge>
        </>
      }
    >
      <Failures error={error} />
      {first.current !== pin.hash && (
        <Note tone="warn">
          The source has changed what it offers since you opened this page. This is what it offers now.
        </Note>
      )}
      {pin.hidden.length > 0 && <Hidden of={pin.hidden} />}
      <Panel
        title={told[pin.state] ?? plain(pin.state)}
        actions={can('sources', 'admin') && <Decide pin={pin} reload={reload} />}
      >
        <dl className="facts">
          <dt>Offered since</dt>
          <dd>{moment(pin.since)}</dd>
          <dt>Hash of what is offered</dt>
          <dd className="mono">{plain(pin.hash) || 'nothing is offered'}</dd>
          <dt>Hash of what was approved</dt>
          <dd className="mono">{plain(pin.approvedHash) || 'nothing was approved'}</dd>
          {pin.decidedBy && (
            <>
              <dt>Decided</dt>
              <dd>
                {moment(pin.decided)} by {plain(pin.decidedBy)}
              </dd>
            </>
          )}
        </dl>
      </Panel>
      {pin.changes.length > 0 && (
        <Panel title={pin.approvedHash ? 'What has changed' : 'What is offered'}>
          {pin.changes.map((c) => (
            <div key={c.path} className={css.change}>
              <code>{cut(c.path, 500) || 'all of it'}</code>
              <Side class={css.old} title="Approved" text={c.old} />
              <Side class={css.new} title="Offered" text={c.new} />
            </div>
          ))}
        </Panel>
      )}
      <Panel title="The definitions">
        <div className={css.definitions}>
          {pin.approvedDefinition && <Definition title="Approved" text={pin.approvedDefinition} />}
          {pin.definition && <Definition title="Offered" text={pin.definition} />}
        </div>
      </Panel>
    </Page>
  );
}

const told: Record<string, string> = {
  approved: 'It is approved',
  quarantined: 'Nobody has approved it',
  changed: 'It is not what was approved',
  rejected: 'It was rejected',
};

/** Text that people do not see and models read. */
export const Hidden = ({ of }: { of: readonly string[] }) => (
  <Note tone="bad">
    What is offered has text that people do not see and models read:
    <ul className={css.hidden}>
      {of.map((h) => (
        <li key={h}>
          <Spelt text={h} />
        </li>
      ))}
    </ul>
  </Note>
);

const Side = (props: { class: string | undefined; title: string; text: string }) => (
  <div className={props.class}>
    <span>{props.title}</span>
    {props.text ? <Spelt text={props.text} /> : <em>nothing</em>}
  </div>
);

const Definition = ({ title, text }: { title: string; text: string }) => (
  <div>
    <h3>{title}</h3>
    <Code label={`the definition that is ${title.toLowerCase()}`} text={indent(text)} />
  </div>
);

/** Text in which characters that are not seen are spelt out, and stand out. */
const Spelt = ({ text }: { text: string }): ReactNode =>
  spelt(cut(text, 20_000)).map((part, i) =>
    i % 2 === 1 ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: The parts of a text have no other name.
      <mark key={i} className={css.unseen}>
        {part}
      </mark>
    ) : (
      part
    ),
  );
