import { useState } from 'react';
import { Button } from 'react-aria-components';
import { cut } from '../lib/format';
import css from './ui.module.css';

/** Copies text to the clipboard, and says so. */
export function CopyButton(props: { text: string | (() => string); label?: string }) {
  const [state, setState] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof props.text === 'string' ? props.text : props.text());
      setState('Copied');
    } catch {
      setState('The browser does not let the page copy');
    }
    setTimeout(() => setState(''), 2_000);
  };
  return (
    <Button className="react-aria-Button quiet" onPress={copy} aria-label={props.label ?? 'Copy'}>
      <span aria-live="polite">{state || 'Copy'}</span>
    </Button>
  );
}

/** Text to be read and copied as it is; what is not seen is spelt out in what is shown, not in what is copied. */
export const Code = (props: { text: string; label: string; most?: number }) => (
  <section className={css.code} aria-label={props.label}>
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it. */}
    <pre tabIndex={0}>{cut(props.text, props.most ?? 100_000)}</pre>
    <CopyButton text={props.text} label={`Copy ${props.label}`} />
  </section>
);
