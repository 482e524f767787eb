import { useState } from 'react';
import { Button } from 'react-aria-components';
import { cut, plain } from '../../lib/format';
import { Badge, JsonTree, Table } from '../../ui';
import { field, hints, resolve, type Schema, short, typeName } from './form/schema';

/** The properties of a schema as a table, with what they refer to, and the schema itself as JSON. */
export function SchemaTable({ schema, none }: { schema: Schema | null; none: string }) {
  const [raw, setRaw] = useState(false);
  if (!schema) return <p className="muted">{none}</p>;
  const f = field(schema, schema);
  const rows = f.kind === 'object' ? f.properties : [];
  return (
    <>
      {rows.length === 0 ? (
        <p className="muted">
          {f.kind === 'object' ? 'An object without properties of its own.' : plain(typeName(schema))}
        </p>
      ) : (
        <Table
          label="Properties"
          head={
            <tr>
              <th>Property</th>
              <th>Type</th>
              <th>About</th>
            </tr>
          }
        >
          {rows.slice(0, 200).map(([name, s, required]) => (
            <Row key={name} name={name} schema={resolve(s, schema) ?? s} required={required} />
          ))}
        </Table>
      )}
      {rows.length > 200 && <p className="muted">{rows.length - 200} more are in the JSON.</p>}
      <div>
        <Button className="react-aria-Button quiet" aria-expanded={raw} onPress={() => setRaw(!raw)}>
          {raw ? 'Hide the JSON' : 'Show the JSON'}
        </Button>
      </div>
      {raw && <JsonTree value={schema} open={3} />}
    </>
  );
}

function Row({ name, schema, required }: { name: string; schema: Schema; required: boolean }) {
  const inner = field(schema, schema);
  const values = inner.kind === 'enum' ? inner.values.slice(0, 12).map(short).join(', ') : '';
  const notes = hints(schema).join('; ');
  return (
    <tr>
      <td className="mono">
        {cut(name, 100)} {required && <Badge tone="accent">required</Badge>}
      </td>
      <td>{plain(typeName(schema))}</td>
      <td>
        {inner.description && <div>{cut(inner.description, 500)}</div>}
        {values && <div className="mono">{cut(values, 300)}</div>}
        {notes && <div className="muted">{cut(notes, 300)}</div>}
      </td>
    </tr>
  );
}
