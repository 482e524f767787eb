import type { CombinedError } from '@urql/core';
import { type ReactNode, useState } from 'react';
import { Button } from 'react-aria-components';
import { Failures } from './state';
import css from './ui.module.css';

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

/** Fields side by side as far as there is room, and the button that does what they say; Enter does it, too. */
export const Form = (props: {
  submit: string;
  isDisabled?: boolean;
  onSubmit: () => void;
  onCancel?: () => void;
  children: ReactNode;
}) => (
  <form
    className={css.form}
    onSubmit={(e) => {
      e.preventDefault();
      if (!props.isDisabled) props.onSubmit();
    }}
  >
    {props.children}
    <div className={`row ${css.wide}`}>
      <Button className="react-aria-Button primary" type="submit" isDisabled={props.isDisabled}>
        {props.submit}
      </Button>
      {props.onCancel && <Button onPress={props.onCancel}>Cancel</Button>}
    </div>
  </form>
);

/** A field of a form that has a row to itself, or half of one where the window is wide. */
export const Wide = (props: { half?: boolean; children: ReactNode }) => (
  <div className={props.half ? css.half : css.wide}>{props.children}</div>
);
