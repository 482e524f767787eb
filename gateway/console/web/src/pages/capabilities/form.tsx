import { useId, useState } from 'react';
import { Button, Input, Label, TextField } from 'react-aria-components';
import { type Exact, isObject, isRaw, parse, stringify, Typing } from '../../lib/exact';
import { cut } from '../../lib/format';
import { Check, Choice, Field as TextInput } from '../../ui';
import css from './capabilities.module.css';
import { field, fits, initial, type Schema, short, step, typedNumber } from './schema';

export type Wrong = { pointer: string; message: string }[];

type Props = {
  schema: Schema;
  root: Schema;
  /** Undefined is a value that is left out. */
  value: Exact | undefined;
  onChange: (value: Exact | undefined) => void;
  name: string;
  required: boolean;
  pointer: string;
  wrong: Wrong;
};

/** A form for one value. It changes nothing but what is typed into; what no form can show is edited as JSON. */
export function SchemaField(props: Props) {
  const { schema, root, value, onChange, name, required } = props;
  const f = field(schema, root, name);
  const label = `${cut(f.title, 100)}${required ? '' : ' (optional)'}`;
  const here = props.wrong.filter((w) => w.pointer === props.pointer).map((w) => cut(w.message, 300));
  const error = here.join('. ');
  const hint = [f.description && cut(f.description, 1_000), f.hints.map((h) => cut(h, 120)).join(', ')]
    .filter(Boolean)
    .join(' · ');
  const common = { label, error, hint };

  if (f.nullable && value === null) {
    return (
      <Group {...common}>
        <Check
          isSelected
          onChange={() => onChange(required ? initial({ ...schema, type: f.kind }, root, true) : undefined)}
        >
          null
        </Check>
      </Group>
    );
  }
  const nullable = f.nullable && (
    <Check isSelected={false} onChange={() => onChange(null)}>
      null instead of a value
    </Check>
  );
  switch (f.kind) {
    case 'string':
      if (value !== undefined && typeof value !== 'string') break;
      return (
        <div className={css.grow}>
          <TextInput
            {...common}
            lines={1}
            value={value ?? ''}
            onChange={(v) => onChange(v === '' && !required ? undefined : v)}
          />
          {nullable}
        </div>
      );
    case 'number':
    case 'integer':
      if (value !== undefined && typeof value !== 'number' && !isRaw(value) && !(value instanceof Typing)) break;
      return (
        <div>
          <NumberInput {...common} value={value} onChange={onChange} />
          {nullable}
        </div>
      );
    case 'boolean':
      if (value !== undefined && typeof value !== 'boolean') break;
      return (
        <Picked
          {...common}
          chosen={value === undefined ? '' : String(value)}
          options={[
            ['true', 'true'],
            ['false', 'false'],
          ]}
          choose={(v) => onChange(v === '' ? undefined : v === 'true')}
          nullable={nullable}
        />
      );
    case 'enum': {
      const all = f.values.map((v) => stringify(v));
      const now = value === undefined ? '' : stringify(value);
      if (now && !all.includes(now)) break;
      return (
        <Picked
          {...common}
          chosen={now && String(all.indexOf(now))}
          options={f.values.map((v, i) => [String(i), cut(short(v), 100)])}
          choose={(v) => onChange(v === '' ? undefined : f.values[Number(v)])}
          nullable={nullable}
        />
      );
    }
    case 'const': {
      const full = cut(stringify(f.value), 200);
      if (value !== undefined && stringify(value) !== stringify(f.value)) break;
      return (
        <Group {...common}>
          <Check isSelected={value !== undefined} onChange={(on) => onChange(on ? f.value : undefined)}>
            <code>{full}</code>
          </Check>
        </Group>
      );
    }
    case 'array':
      if (value !== undefined && !Array.isArray(value)) break;
      return <Items {...props} {...common} f={f} value={value} />;
    case 'object':
      if (value !== undefined && !isObject(value)) break;
      return <Members {...props} {...common} f={f} value={value} />;
    case 'choice':
      return <OneOf {...props} {...common} f={f} />;
  }
  return <JsonField {...common} value={value} onChange={onChange} />;
}

type Common = { label: string; error: string; hint: string };
type Of<K> = Extract<ReturnType<typeof field>, { kind: K }>;

function Group({ label, error, hint, children }: Common & { children: React.ReactNode }) {
  return (
    <fieldset className={css.group}>
      <legend>{label}</legend>
      {hint && <div className="muted">{hint}</div>}
      {error && <div className={css.wrong}>{error}</div>}
      {children}
    </fieldset>
  );
}

function Picked(
  props: Common & {
    chosen: string;
    options: (readonly [string, string])[];
    choose: (v: string) => void;
    nullable: React.ReactNode;
  },
) {
  return (
    <div>
      <Choice
        label={props.label}
        value={props.chosen}
        onChange={props.choose}
        options={[['', 'Not given'], ...props.options]}
      />
      {props.hint && <div className="muted">{props.hint}</div>}
      {props.error && <div className={css.wrong}>{props.error}</div>}
      {props.nullable}
    </div>
  );
}

const numberText = (v: Exact | undefined) => (v === undefined ? '' : v instanceof Typing ? v.text : stringify(v));

/** A number of any length, as its text. */
function NumberInput({ value, onChange, ...common }: Common & Pick<Props, 'value' | 'onChange'>) {
  const [typed, setTyped] = useState(() => numberText(value));
  const same = numberText(typedNumber(typed)) === numberText(value);
  const text = same ? typed : numberText(value);
  const error = value instanceof Typing ? 'This is not a number.' : common.error;
  return (
    <TextInput
      {...common}
      error={error}
      inputMode="decimal"
      value={text}
      onChange={(t) => {
        setTyped(t);
        onChange(typedNumber(t));
      }}
    />
  );
}

function Items(props: Omit<Props, 'value'> & Common & { f: Of<'array'>; value: Exact[] | undefined }) {
  const { f, value = [], onChange, root, required } = props;
  const schemaOf = (i: number) => f.prefix[i] ?? f.items;
  const put = (items: Exact[]) => onChange(items.length === 0 && !required ? undefined : items);
  const shown = value.slice(0, 200);
  return (
    <Group {...props}>
      {shown.map((v, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: An item is known by its place.
        <div className={css.item} key={i}>
          <SchemaField
            schema={schemaOf(i)}
            root={root}
            value={v}
            name={`${i + 1}`}
            required
            pointer={`${props.pointer}/${i}`}
            wrong={props.wrong}
            onChange={(n) => put(value.map((old, at) => (at === i ? (n ?? null) : old)))}
          />
          <Button
            aria-label={`Remove item ${i + 1} of ${props.label}`}
            onPress={() => put(value.filter((_, at) => at !== i))}
          >
            ×
          </Button>
        </div>
      ))}
      {value.length > shown.length && <p className="muted">{value.length - shown.length} more are in the JSON.</p>}
      <div>
        <Button
          aria-label={`Add an item to ${props.label}`}
          onPress={() =>
            put([...value, initial(schemaOf(value.length), root, true) ?? blank(schemaOf(value.length), root)])
          }
        >
          Add an item
        </Button>
      </div>
    </Group>
  );
}

/** What stands in a place that must have something, before anything is typed. */
function blank(schema: Schema, root: Schema): Exact {
  const f = field(schema, root);
  if (f.kind === 'enum') return f.values[0] ?? null;
  if (f.kind === 'number' || f.kind === 'integer') return new Typing('');
  if (f.kind === 'boolean') return false;
  return f.kind === 'string' ? '' : null;
}

function Members(
  props: Omit<Props, 'value'> & Common & { f: Of<'object'>; value: { [key: string]: Exact } | undefined },
) {
  const { f, value, onChange, root, required, wrong, pointer } = props;
  const [open, setOpen] = useState(200);
  if (value === undefined && !required) {
    return (
      <Group {...props}>
        <div>
          <Button aria-label={`Add ${props.label}`} onPress={() => onChange(initial(props.schema, root, true) ?? {})}>
            Add
          </Button>
        </div>
      </Group>
    );
  }
  const now = value ?? {};
  const known = new Set(f.properties.map(([n]) => n));
  const others = Object.keys(now).filter((n) => !known.has(n));
  const put = (name: string, v: Exact | undefined) =>
    onChange(
      Object.fromEntries([
        ...Object.entries(now).flatMap(([k, old]) =>
          k !== name ? [[k, old] as const] : v === undefined ? [] : [[k, v] as const],
        ),
        ...(v !== undefined && !Object.hasOwn(now, name) ? [[name, v] as const] : []),
      ]),
    );
  const body = (
    <>
      {f.properties.slice(0, open).map(([name, schema, needed]) => (
        <SchemaField
          key={name}
          schema={schema}
          root={root}
          name={name}
          required={needed}
          value={Object.hasOwn(now, name) ? now[name] : undefined}
          pointer={`${pointer}/${step(name)}`}
          wrong={wrong}
          onChange={(v) => put(name, v)}
        />
      ))}
      {f.properties.length > open && <Button onPress={() => setOpen(open * 5)}>More</Button>}
      {others.slice(0, 200).map((name) => (
        <div className={css.item} key={name}>
          <SchemaField
            schema={f.rest ?? {}}
            root={root}
            name={name}
            required
            value={now[name]}
            pointer={`${pointer}/${step(name)}`}
            wrong={wrong}
            onChange={(v) => put(name, v ?? null)}
          />
          <Button aria-label={`Remove ${cut(name, 100)}`} onPress={() => put(name, undefined)}>
            ×
          </Button>
        </div>
      ))}
      {f.rest && (
        <AddMember
          taken={(n) => Object.hasOwn(now, n)}
          add={(n) => put(n, initial(f.rest ?? {}, root, true) ?? blank(f.rest ?? {}, root))}
        />
      )}
    </>
  );
  if (pointer === '') {
    return (
      <div className={css.form}>
        {props.error && <div className={css.wrong}>{props.error}</div>}
        {f.properties.length === 0 && others.length === 0 && !f.rest && <p className="muted">It takes no arguments.</p>}
        {body}
      </div>
    );
  }
  return (
    <Group {...props}>
      {body}
      {!required && (
        <div>
          <Button aria-label={`Remove ${props.label}`} onPress={() => onChange(undefined)}>
            Remove
          </Button>
        </div>
      )}
    </Group>
  );
}

function AddMember({ taken, add }: { taken: (name: string) => boolean; add: (name: string) => void }) {
  const [name, setName] = useState('');
  return (
    <div className={css.item}>
      <TextField value={name} onChange={setName}>
        <Label>Another member</Label>
        <Input placeholder="Its name" />
      </TextField>
      <Button
        isDisabled={name === '' || taken(name)}
        onPress={() => {
          add(name);
          setName('');
        }}
      >
        Add
      </Button>
    </div>
  );
}

function OneOf(props: Props & Common & { f: Of<'choice'> }) {
  const { f, value, root, onChange, required } = props;
  const [at, setAt] = useState(() => (value === undefined && !required ? -1 : fits(value, f.of, root)));
  const now = value !== undefined && at < 0 ? fits(value, f.of, root) : Math.min(at, f.of.length - 1);
  const one = f.of[now];
  const none = required ? [] : ([['-1', 'Not given']] as const);
  return (
    <Group {...props}>
      <Choice
        label={`Form of ${props.label}`}
        value={String(now)}
        options={[...none, ...f.of.map((c, i) => [String(i), cut(c.label, 100)] as const)]}
        onChange={(v) => {
          const next = f.of[Number(v)];
          setAt(Number(v));
          onChange(next && initial(next.schema, root, true));
        }}
      />
      {one && (
        <SchemaField
          {...props}
          schema={one.schema}
          name={one.label}
          required={props.pointer === '' || required || value !== undefined}
        />
      )}
    </Group>
  );
}

/** A value of any form, as JSON. */
export function JsonField(
  props: Common & Pick<Props, 'value' | 'onChange'> & { lines?: number; onProblem?: (problem: string) => void },
) {
  const id = useId();
  const given = props.value === undefined ? '' : stringify(props.value, '  ');
  const [state, setState] = useState({ text: given, value: given, problem: '' });
  // What is typed stays while it means the same; a value that comes from elsewhere replaces it.
  const text = state.value === given || state.problem ? state.text : given;
  const change = (typed: string) => {
    try {
      const value = typed.trim() === '' ? undefined : parse(typed);
      setState({ text: typed, value: value === undefined ? '' : stringify(value, '  '), problem: '' });
      props.onProblem?.('');
      props.onChange(value);
    } catch (e) {
      props.onProblem?.((e as Error).message);
      setState({ text: typed, value: given, problem: (e as Error).message });
    }
  };
  return (
    <div className={css.grow}>
      <TextInput
        id={id}
        label={`${props.label} as JSON`}
        hint={props.hint}
        error={state.problem || props.error}
        lines={props.lines ?? 2}
        value={text}
        onChange={change}
        spellCheck="false"
      />
    </div>
  );
}
