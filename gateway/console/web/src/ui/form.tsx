import type { CombinedError } from '@urql/core';
import { type ReactNode, useState } from 'react';
import { Button } from 'react-aria-components';
import { Failures } from './state';

/** What is typed into a form's fields, and the props that bind a `Field` or a `Choice` to one of them. */
export function useFields<T extends Record<string, string>>(blank: T) {
  const [form, setForm] = useState(blank);
  const bind = (name: keyof T & string) => ({
    value: form[name] as string,
    onChange: (text: string) => setForm((old) => ({ ...old, [name]: text })),
  });
  const field = (name: keyof T & string) => ({ ...bind(name), maxLength: 1024 });
  return { form, setForm, field, choice: bind };
}

/** The form in a `Window`: Enter sends it, and what was refused is said above the buttons. */
export const WindowForm = (props: {
  children: ReactNode;
  error: CombinedError | undefined;
  /** What did not happen where there is an error. */
  what: string;
  submit: string;
  danger?: boolean;
  isDisabled: boolean;
  onSubmit: () => Promise<void>;
  onCancel: () => void;
}) => (
  <form
    className="stack"
    onSubmit={(e) => {
      e.preventDefault();
      void props.onSubmit();
    }}
  >
    {props.children}
    <Failures error={props.error} what={props.what} />
    <div className="actions row">
      <Button onPress={props.onCancel}>Cancel</Button>
      <Button
        type="submit"
        className={`react-aria-Button ${props.danger ? 'danger' : 'primary'}`}
        isDisabled={props.isDisabled}
      >
        {props.submit}
      </Button>
    </div>
  </form>
);
