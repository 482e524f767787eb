import { useEffect, useId, useState } from 'react';
import { Input, Label, Text, TextField } from 'react-aria-components';
import { useClient } from 'urql';
import { cut, plain } from '../../lib/format';
import { completeQuery } from './documents';

/** A line of text for which the source may suggest values. */
export function Completed(props: {
  name: string;
  label: string;
  hint?: string;
  of: { prompt: string } | { template: string };
  value: string;
  known: Record<string, string>;
  onChange: (value: string) => void;
}) {
  const client = useClient();
  const id = useId();
  const [asked, setAsked] = useState(false);
  const [values, setValues] = useState<readonly string[]>([]);
  const question = JSON.stringify({ ref: props.of, argument: props.name, value: props.value, known: props.known });
  useEffect(() => {
    if (!asked) return;
    let dropped = false;
    const soon = setTimeout(async () => {
      const { data } = await client
        .query(completeQuery, JSON.parse(question), { requestPolicy: 'network-only' })
        .toPromise();
      if (!dropped) setValues(data?.complete?.values ?? []); // Without suggestions it is a plain field.
    }, 150);
    return () => {
      dropped = true;
      clearTimeout(soon);
    };
  }, [client, asked, question]);
  return (
    <TextField value={props.value} onChange={props.onChange} onFocus={() => setAsked(true)}>
      <Label>{props.label}</Label>
      <Input list={id} autoComplete="off" />
      {props.hint && <Text slot="description">{cut(props.hint, 500)}</Text>}
      <datalist id={id}>
        {values.slice(0, 100).map((v) => (
          <option key={v} value={v} label={plain(v)} />
        ))}
      </datalist>
    </TextField>
  );
}
