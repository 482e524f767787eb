import type { ReactNode } from 'react';
import {
  Checkbox as AriaCheckbox,
  Button,
  FieldError,
  Input,
  Label,
  ListBox,
  ListBoxItem,
  Popover,
  SearchField,
  Select,
  SelectValue,
  Text,
  TextArea,
  TextField,
  type TextFieldProps,
} from 'react-aria-components';

/** A line of text, or several with `lines`. */
export function Field(
  props: TextFieldProps & { label: string; hint?: ReactNode; error?: string; lines?: number; placeholder?: string },
) {
  const { label, hint, error, lines, placeholder, ...rest } = props;
  return (
    <TextField {...rest} isInvalid={!!error || rest.isInvalid}>
      <Label>{label}</Label>
      {lines ? <TextArea rows={lines} placeholder={placeholder} /> : <Input placeholder={placeholder} />}
      {hint && <Text slot="description">{hint}</Text>}
      <FieldError>{error}</FieldError>
    </TextField>
  );
}

/** Searches as it is typed into; Escape empties it. */
export const Search = (props: {
  label: string;
  value: string;
  onChange: (text: string) => void;
  placeholder?: string;
}) => (
  <SearchField value={props.value} onChange={props.onChange} maxLength={256}>
    <Label>{props.label}</Label>
    <Input placeholder={props.placeholder} />
    <Button aria-label="Empty the search">×</Button>
  </SearchField>
);

/** One of a few choices: pairs of a value and what is shown. */
export const Choice = (props: {
  label: string;
  value: string;
  onChange: (value: string) => void;
  options: readonly (readonly [string, string])[];
  isDisabled?: boolean;
}) => (
  <Select value={props.value} onChange={(key) => props.onChange(String(key ?? ''))} isDisabled={props.isDisabled}>
    <Label>{props.label}</Label>
    <Button>
      <SelectValue />
      <span aria-hidden="true">▾</span>
    </Button>
    <Popover>
      <ListBox items={props.options.map(([id, text]) => ({ id, text }))}>
        {(o) => <ListBoxItem id={o.id}>{o.text}</ListBoxItem>}
      </ListBox>
    </Popover>
  </Select>
);

/** Yes or no. */
export const Check = (props: {
  children: ReactNode;
  isSelected: boolean;
  onChange: (on: boolean) => void;
  isDisabled?: boolean;
}) => (
  <AriaCheckbox isSelected={props.isSelected} onChange={props.onChange} isDisabled={props.isDisabled}>
    <span className="ui-check" aria-hidden="true">
      {props.isSelected ? '✓' : ''}
    </span>
    {props.children}
  </AriaCheckbox>
);

/** One of a few ways to see something, of which one is always on. */
export const Switcher = <T extends string>(props: {
  label: string;
  options: readonly (readonly [T, string])[];
  value: T;
  onChange: (value: T) => void;
}) => (
  // biome-ignore lint/a11y/useSemanticElements: It is no set of fields.
  <div role="group" aria-label={props.label} className="ui-switcher">
    {props.options.map(([id, text]) => (
      <Button key={id} aria-pressed={id === props.value} onPress={() => props.onChange(id)}>
        {text}
      </Button>
    ))}
  </div>
);
