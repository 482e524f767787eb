import { Button } from 'react-aria-components';
import { type Exact, Typing } from '../../../lib/exact';
import css from '../capabilities.module.css';
import { SchemaField } from './field';
import { Group, type Of, type Place, type Shown } from './parts';
import { field, type Schema } from './schema';
import { initial } from './values';

const most = 200; // Items that are shown; the others are in the JSON.

/** A list, item by item. */
export function Items(props: Omit<Place, 'value'> & Shown & { f: Of<'array'>; value: Exact[] | undefined }) {
  const { f, value = [], onChange, root, required } = props;
  const schemaOf = (i: number) => f.prefix[i] ?? f.items;
  const put = (items: Exact[]) => onChange(items.length === 0 && !required ? undefined : items);
  return (
    <Group {...props}>
      {value.slice(0, most).map((v, i) => (
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
      {value.length > most && <p className="muted">{value.length - most} more are in the JSON.</p>}
      <div>
        <Button
          aria-label={`Add an item to ${props.label}`}
          onPress={() => put([...value, begin(schemaOf(value.length), root)])}
        >
          Add an item
        </Button>
      </div>
    </Group>
  );
}

/** What stands in a place that must have something, before anything is typed. */
export function begin(schema: Schema, root: Schema): Exact {
  const value = initial(schema, root, true);
  if (value !== undefined) return value;
  const f = field(schema, root);
  if (f.kind === 'enum') return f.values[0] ?? null;
  if (f.kind === 'number' || f.kind === 'integer') return new Typing('');
  if (f.kind === 'boolean') return false;
  return f.kind === 'string' ? '' : null;
}
