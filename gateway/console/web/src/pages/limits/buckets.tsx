import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { Link } from 'wouter';
import { count, cut, duration } from '../../lib/format';
import { Badge, Empty, Entry, Field, Panel, ShortList } from '../../ui';
import css from './limits.module.css';
import type { Bucket, Limits, Whose } from './queries';
import { titleWords, whoseWords } from './words';

type Props = { limits: Limits; wanted: string; onFind: (key: string) => void; onEdit?: (whose: Whose) => void };

/** Who is near a limit: the buckets that are not full, the emptiest first. */
export function Buckets({ limits, wanted, onFind, onEdit }: Props) {
  const { buckets, totalCount } = limits;
  return (
    <Panel title="Who is near a limit" actions={<Find value={wanted} onChange={onFind} />}>
      {buckets.length === 0 ? (
        <Empty title={wanted ? 'No limit of this key has been used lately' : 'Nobody is near a limit'}>
          {wanted ? (
            <Button onPress={() => onFind('')}>Show everybody</Button>
          ) : (
            'Who has used some of a limit stands here until the limit is whole again.'
          )}
        </Empty>
      ) : (
        <>
          <ShortList
            items={buckets}
            label="Who is near a limit"
            what="limits"
            id={(b) => `${b.rule} ${b.per} ${b.key}`}
          >
            {(b) => <Line of={b} onEdit={onEdit} />}
          </ShortList>
          <p className="muted">
            {totalCount > buckets.length &&
              `The emptiest ${count(buckets.length)} of ${count(totalCount)} are shown: give a key to see the others. `}
            As the node that answers counted when this was read; each node counts for itself.
          </p>
        </>
      )}
    </Panel>
  );
}

function Line({ of: b, onEdit }: { of: Bucket; onEdit?: (whose: Whose) => void }) {
  const whose = whoseWords(b);
  const share = b.burst > 0 ? b.tokens / b.burst : 0;
  return (
    <Entry
      title={titleWords(b)}
      badge={b.per !== 'global' && <Badge>{b.per}</Badge>}
      what={
        <span className={css.left}>
          {count(b.tokens)} of {count(b.burst)} left
          <meter min={0} max={1} low={0.2} high={0.5} optimum={1} value={share} aria-label={`Left for ${whose}`} />
        </span>
      }
      when={
        <span className="row">
          {b.rule === 'override' ? <Badge tone="accent">override</Badge> : `rule ${cut(b.rule, 100)}`}
          {b.retryMs > 0 && <Badge tone="bad">next call in {duration(b.retryMs)}</Badge>}
        </span>
      }
      actions={
        <>
          {b.per === 'principal' && (
            <Link
              className="ui-button"
              href={`/audit?principal=${encodeURIComponent(b.key)}`}
              aria-label={`Records: ${whose}`}
            >
              Records
            </Link>
          )}
          {onEdit && (
            <Button aria-label={`Override: ${whose}`} onPress={() => onEdit({ per: b.per, key: b.key })}>
              Override
            </Button>
          )}
        </>
      }
    />
  );
}

/** A whole key, which goes into the address with Enter, or when the field is left. */
function Find({ value, onChange }: { value: string; onChange: (key: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const apply = () => text.trim() !== value && onChange(text.trim());
  return (
    <search>
      <form
        className={css.find}
        onSubmit={(e) => {
          e.preventDefault();
          apply();
        }}
      >
        <Field
          label="Key"
          value={text}
          onChange={setText}
          onBlur={apply}
          maxLength={512}
          placeholder="Whole id or name"
        />
        {value && <Button onPress={() => onChange('')}>Show everybody</Button>}
      </form>
    </search>
  );
}
