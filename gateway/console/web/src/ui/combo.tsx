import { useEffect, useMemo, useState } from 'react';
import { Button, ComboBox, Input, Label, ListBox, ListBoxItem, Popover, Text } from 'react-aria-components';
import { cut } from '../lib/format';

const most = 50; // Suggestions that are shown at once.

/** What may be meant by a text, at once or when it is known. */
export type Suggest = (text: string) => string[] | Promise<string[]>;

/** A line of text with suggestions, of which none has to be taken. They are asked for 120 ms after the last key. */
export function Combo(props: {
  label: string;
  value: string;
  onChange: (text: string) => void;
  suggest: Suggest;
  placeholder?: string;
  hint?: string;
  autoFocus?: boolean;
}) {
  const [known, set] = useState<string[]>([]);
  const { suggest, value } = props;
  const [chosen, choose] = useState<string>();
  const [whole, showWhole] = useState(false); // Its button shows what else there is.
  const items = useMemo(() => fitting(known, whole ? '' : value).map((id) => ({ id })), [known, whole, value]);
  useEffect(() => {
    let dropped = false;
    const soon = setTimeout(async () => {
      const all = await suggest(value);
      if (!dropped) set(all);
    }, 120);
    return () => {
      dropped = true;
      clearTimeout(soon);
    };
  }, [suggest, value]);
  return (
    <ComboBox
      allowsCustomValue
      allowsEmptyCollection // It opens before the suggestions are known.
      menuTrigger="input"
      items={items}
      inputValue={value}
      onInputChange={(text) => {
        showWhole(false);
        props.onChange(text);
      }}
      selectedKey={chosen === value ? chosen : null}
      onSelectionChange={(key) => {
        if (key === null) return; // What is typed stays as it is.
        choose(String(key));
        props.onChange(String(key));
      }}
      onOpenChange={(_, trigger) => showWhole(trigger === 'manual')}
    >
      <Label>{props.label}</Label>
      <div className="ui-combo">
        <Input placeholder={props.placeholder} autoFocus={props.autoFocus} spellCheck="false" autoCapitalize="off" />
        <Button>
          <span aria-hidden="true">▾</span>
        </Button>
      </div>
      {props.hint && <Text slot="description">{props.hint}</Text>}
      <Popover>
        <section aria-label="Suggestions">
          <ListBox<{ id: string }> renderEmptyState={() => <div className="ui-none">No suggestions</div>}>
            {({ id }) => (
              <ListBoxItem id={id} textValue={id}>
                <span className="mono">{cut(id, 200)}</span>
              </ListBoxItem>
            )}
          </ListBox>
        </section>
      </Popover>
    </ComboBox>
  );
}

/** The suggestions that hold a text, those that begin with it first. */
function fitting(all: string[], text: string): string[] {
  const low = text.trim().toLowerCase();
  const hits = [...new Set(all)].filter((s) => s.toLowerCase().includes(low));
  const begins = (s: string) => (s.toLowerCase().startsWith(low) ? 0 : 1);
  return hits.sort((a, b) => begins(a) - begins(b)).slice(0, most);
}
