import { useState } from 'react';
import { Button, Input, Label, TextField } from 'react-aria-components';
import type { Exact } from '../../../lib/exact';
import { cut } from '../../../lib/format';
import css from '../capabilities.module.css';
import { begin } from './array';
import { SchemaField } from './field';
import { Group, type Of, type Place, type Shown } from './parts';
import { initial, step } from './values';

type Props = Omit<Place, 'value'> & Shown & { f: Of<'object'>; value: { [key: string]: Exact } | undefined };

/** An object, member by member: those that the schema names, then the others. */
export function Members(props: Props) {
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
  const put = (name: string, v: Exact | undefined) => onChange(changed(now, name, v));
  const at = (name: string) => ({ name, root, wrong, pointer: `${pointer}/${step(name)}` });
  const body = (
    <>
      {f.properties.slice(0, open).map(([name, schema, needed]) => (
        <SchemaField
          key={name}
          {...at(name)}
          schema={schema}
          required={needed}
          value={Object.hasOwn(now, name) ? now[name] : undefined}
          onChange={(v) => put(name, v)}
        />
      ))}
      {f.properties.length > open && <Button onPress={() => setOpen(open * 5)}>More</Button>}
      {others.slice(0, 200).map((name) => (
        <div className={css.item} key={name}>
          <SchemaField
            {...at(name)}
            schema={f.rest ?? {}}
            required
            value={now[name]}
            onChange={(v) => put(name, v ?? null)}
          />
          <Button aria-label={`Remove ${cut(name, 100)}`} onPress={() => put(name, undefined)}>
            ×
          </Button>
        </div>
      ))}
      {f.rest && <AddMember taken={(n) => Object.hasOwn(now, n)} add={(n) => put(n, begin(f.rest ?? {}, root))} />}
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

/** An object with another value of a member, in its place; undefined takes it out. */
function changed(old: { [key: string]: Exact }, name: string, value: Exact | undefined): Exact {
  const entries = Object.entries(old);
  if (value === undefined) return Object.fromEntries(entries.filter(([k]) => k !== name));
  if (!Object.hasOwn(old, name)) return Object.fromEntries([...entries, [name, value]]);
  return Object.fromEntries(entries.map(([k, v]) => [k, k === name ? value : v]));
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
