import { useEffect, useRef, useState } from 'react';
import { Button } from 'react-aria-components';
import { Choice, Field } from '../../ui';
import css from './audit.module.css';
import { ranges, texts } from './filter';

const any = ['', 'Any'] as const;
const pairs = (...values: string[]) => [any, ...values.map((v) => [v, v] as const)];

const ops = pairs('call', 'read', 'get', 'complete', 'subscribe', 'list', 'admin');
const doors = [any, ['mcp', 'MCP'], ['graphql', 'GraphQL'], ['grpc', 'gRPC'], ['rest', 'REST']] as const;
const codes = pairs(
  'OK',
  'PERMISSION_DENIED',
  'UNAUTHENTICATED',
  'INVALID_ARGUMENT',
  'NOT_FOUND',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'CANCELLED',
  'DEADLINE_EXCEEDED',
  'UNAVAILABLE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNKNOWN',
);

const periods = [
  ['', 'Any time'],
  ...Object.entries(ranges).map(([id, [label]]) => [id, label] as const),
  ['exact', 'From … to …'],
] as const;

type Change = (values: { [name: string]: string }) => void;

/** The filters of the explorer, which live in the URL. */
export function Filters({ search, change }: { search: URLSearchParams; change: Change }) {
  const get = (name: string) => search.get(name) ?? '';
  const [exact, setExact] = useState(get('from') !== '' || get('to') !== '');
  const [more, setMore] = useState(
    ['op', 'by', 'rule', 'type', 'trace', 'id', 'tenant'].some((name) => get(name) !== ''),
  );
  const range = get('range') || (exact ? 'exact' : '');
  const pick = (value: string) => {
    setExact(value === 'exact');
    change(value === 'exact' ? { range: '' } : { range: value, from: '', to: '' });
  };
  const used = texts.some((name) => get(name)) || ['range', 'from', 'to'].some((name) => get(name));
  const text = (name: string, label: string, hint?: string) => (
    <TextFilter label={label} placeholder={hint} value={get(name)} onChange={(value) => change({ [name]: value })} />
  );
  const choice = (name: string, label: string, options: readonly (readonly [string, string])[]) => (
    <Choice
      label={label}
      value={get(name)}
      onChange={(value) => change({ [name]: value })}
      options={options.some(([v]) => v === get(name)) ? options : [...options, [get(name), get(name)]]}
    />
  );
  return (
    <search>
      <div className={css.filters}>
        <Choice label="Time" value={range} onChange={pick} options={periods} />
        {range === 'exact' && (
          <>
            <Moment label="From" value={get('from')} onChange={(from) => change({ from, range: '' })} />
            <Moment label="Before" value={get('to')} onChange={(to) => change({ to, range: '' })} />
          </>
        )}
        {text('principal', 'Who', 'id or name, * is any text')}
        {text('object', 'What', 'tool/demo/*')}
        {choice('via', 'Door', doors)}
        {choice('code', 'Outcome', codes)}
      </div>
      <div className={`row ${css.more}`}>
        <Button className="react-aria-Button quiet" aria-expanded={more} onPress={() => setMore(!more)}>
          {more ? 'Fewer filters' : 'More filters'}
        </Button>
        {used && (
          <Button
            className="react-aria-Button quiet"
            onPress={() => {
              setExact(false);
              change(Object.fromEntries([...texts, 'range', 'from', 'to'].map((name) => [name, ''])));
            }}
          >
            Remove all filters
          </Button>
        )}
      </div>
      {more && (
        <div className={`${css.filters} ${css.more}`}>
          {choice('op', 'Operation', ops)}
          {text('by', 'Refused by', 'policy, upstream/*')}
          {text('rule', 'Rule', '*role:guest*')}
          {text('type', 'Type of record', 'call, door, log.open')}
          {text('id', 'Call')}
          {text('trace', 'Trace')}
          {text('tenant', 'Tenant')}
        </div>
      )}
    </search>
  );
}

const patience = 350; // Milliseconds without a key after which what was typed is asked for.

/** Text that goes into the URL when the reader has stopped typing. */
function TextFilter(props: { label: string; placeholder?: string; value: string; onChange: (value: string) => void }) {
  const [text, setText] = useState(props.value);
  const tell = useRef(props.onChange);
  tell.current = props.onChange;
  useEffect(() => setText(props.value), [props.value]);
  useEffect(() => {
    if (text.trim() === props.value) return;
    const timer = setTimeout(() => tell.current(text.trim()), patience);
    return () => clearTimeout(timer);
  }, [text, props.value]);
  return <Field label={props.label} placeholder={props.placeholder} value={text} onChange={setText} maxLength={512} />;
}

/** A moment in the reader's own time; the URL has it in UTC. */
function Moment(props: { label: string; value: string; onChange: (value: string) => void }) {
  const at = new Date(props.value);
  const local = Number.isNaN(at.getTime())
    ? ''
    : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
  const set = (text: string) => {
    const next = new Date(text);
    props.onChange(Number.isNaN(next.getTime()) ? '' : next.toISOString());
  };
  return (
    <label className="react-aria-TextField">
      <span className="ui-label">{props.label}</span>
      <input
        className="react-aria-Input"
        type="datetime-local"
        step="1"
        defaultValue={local}
        onBlur={(e) => set(e.target.value)}
        onKeyDown={(e) => e.key === 'Enter' && set(e.currentTarget.value)}
      />
    </label>
  );
}
