import { type Exact, isObject, isRaw, stringify, Typing } from '../../../lib/exact';
import { cut } from '../../../lib/format';
import { Check } from '../../../ui';
import { Items } from './array';
import { OneOf, Picked, Several } from './choice';
import { JsonField } from './json';
import { Members } from './object';
import { Group, type Place, type Shown } from './parts';
import { Constant, NumberField, StringField } from './scalar';
import { type Field, field } from './schema';
import { initial } from './values';

/** A form for one value. It changes nothing but what is typed into; what no form can show is edited as JSON. */
export function SchemaField(props: Place) {
  const { schema, root, value, onChange, name, required } = props;
  const f = field(schema, root, name);
  const shown: Shown = {
    label: `${cut(f.title, 100)}${required ? '' : ' (optional)'}`,
    error: props.wrong
      .filter((w) => w.pointer === props.pointer)
      .map((w) => cut(w.message, 300))
      .join('. '),
    hint: [f.description && cut(f.description, 1_000), f.hints.map((h) => cut(h, 120)).join(', ')]
      .filter(Boolean)
      .join(' · '),
  };
  if (f.nullable && value === null) {
    return (
      <Group {...shown}>
        <Check
          isSelected
          onChange={() => onChange(required ? initial({ ...schema, type: f.kind }, root, true) : undefined)}
        >
          null
        </Check>
      </Group>
    );
  }
  return (
    <div>
      {control(f, props, shown) ?? <JsonField {...shown} value={value} onChange={onChange} />}
      {f.nullable && ['string', 'number', 'integer', 'boolean', 'enum'].includes(f.kind) && (
        <Check isSelected={false} onChange={() => onChange(null)}>
          null instead of a value
        </Check>
      )}
    </div>
  );
}

/** The control of a field that has one for its value. */
function control(f: Field, props: Place, shown: Shown) {
  const { value, onChange } = props;
  const all = { ...props, ...shown };
  switch (f.kind) {
    case 'string':
      if (value !== undefined && typeof value !== 'string') return null;
      return <StringField {...all} value={value} />;
    case 'number':
    case 'integer':
      if (value !== undefined && typeof value !== 'number' && !isRaw(value) && !(value instanceof Typing)) return null;
      return <NumberField {...shown} value={value} onChange={onChange} />;
    case 'boolean':
      return <Picked {...shown} values={[true, false]} labels={['true', 'false']} value={value} onChange={onChange} />;
    case 'enum':
      if (value !== undefined && !has(f.values, value)) return null;
      return <Picked {...shown} values={f.values} labels={f.labels} value={value} onChange={onChange} />;
    case 'const':
      if (value !== undefined && !has([f.value], value)) return null;
      return <Constant {...all} constant={f.value} />;
    case 'array': {
      if (value !== undefined && !Array.isArray(value)) return null;
      const few = f.prefix.length === 0 ? field(f.items, props.root) : f;
      if (few.kind !== 'enum' || few.values.length > 20 || (value && !isSet(value, few.values)))
        return <Items {...all} f={f} value={value} />;
      return <Several {...all} values={few.values} labels={few.labels} value={value} />;
    }
    case 'object':
      if (value !== undefined && !isObject(value)) return null;
      return <Members {...all} f={f} value={value} />;
    case 'choice':
      return <OneOf {...all} f={f} />;
  }
  return null;
}

const has = (values: Exact[], value: Exact) => values.some((v) => stringify(v) === stringify(value));

/** Whether a list has nothing but these values, and none of them twice. */
const isSet = (list: Exact[], values: Exact[]) => list.every((v, i) => has(values, v) && !has(list.slice(i + 1), v));
