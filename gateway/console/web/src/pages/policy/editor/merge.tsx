import { MergeView, unifiedMergeView } from '@codemirror/merge';
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { Switcher } from '../../../ui';
import css from '../policy.module.css';
import { colours } from './dialect';
import { type Layout, useLayout } from './layout';
import { basics } from './setup';

const layouts = [
  ['unified', 'Unified'],
  ['split', 'Side by side'],
] as const;

type Words = { accept: string; reject: string };

/**
 * Two texts, with what differs: as one, or side by side where there is room for it. With `onChange` the second can be
 * written on, and each difference be kept or replaced by the first text's; without, it is only shown.
 */
export default function Merge(props: {
  label: string;
  from: string;
  to: string;
  /** What the buttons at each difference say. */
  words?: Words;
  onChange?: (text: string) => void;
}) {
  const box = useRef<HTMLElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const editable = !!props.onChange;
  const written = useRef(props.to);
  const { layout, choose } = useLayout();

  // biome-ignore lint/correctness/useExhaustiveDependencies: What is written on must not begin anew.
  useEffect(() => {
    if (!box.current) return;
    const { words, label } = latest.current;
    if (!editable) written.current = props.to;
    const changed = EditorView.updateListener.of((u) => {
      if (!u.docChanged) return;
      written.current = u.state.doc.toString();
      latest.current.onChange?.(written.current);
    });
    const make = layout === 'split' ? split : unified;
    const view = make(box.current, {
      from: props.from.replaceAll('\r\n', '\n'),
      to: written.current,
      label,
      words: editable ? words : undefined,
      extensions: [basics(label, !editable), colours, changed],
      shared: { collapseUnchanged: editable ? undefined : { margin: 3, minSize: 8 }, diffConfig },
    });
    return () => view.destroy();
  }, [props.from, editable, editable || props.to, layout]);

  return (
    <div className={css.diff}>
      {choose && (
        <Switcher
          label={`Show “${props.label}”`}
          options={layouts}
          value={layout}
          onChange={(to: Layout) => choose(to)}
        />
      )}
      <section ref={box} className={css.editor} aria-label={props.label} />
    </div>
  );
}

const diffConfig = { scanLimit: 2_000, timeout: 500 };

type Comparison = {
  from: string;
  to: string;
  label: string;
  /** Undefined where the second text is only shown. */
  words?: Words;
  extensions: ReturnType<typeof basics>[];
  shared: { collapseUnchanged?: { margin: number; minSize: number }; diffConfig: typeof diffConfig };
};

function unified(parent: Element, c: Comparison): EditorView {
  const { words } = c;
  const state = EditorState.create({
    doc: c.to,
    extensions: [
      c.extensions,
      unifiedMergeView({
        original: c.from,
        mergeControls: words ? (type, action) => button(words[type], words[type], action) : false,
        syntaxHighlightDeletions: false,
        ...c.shared,
      }),
    ],
  });
  return new EditorView({ parent, state });
}

function split(parent: Element, c: Comparison): MergeView {
  const { words } = c;
  return new MergeView({
    parent,
    a: { doc: c.from, extensions: [basics(`${c.label}: the first`, true), colours] },
    b: { doc: c.to, extensions: c.extensions },
    revertControls: words ? 'a-to-b' : undefined,
    renderRevertControl: words ? () => button('→', words.reject, byKeyboard) : undefined,
    ...c.shared,
  });
}

/** The view follows the mouse alone; a key on its button is a click without one. */
function byKeyboard(e: MouseEvent) {
  if (e.detail === 0) e.target?.dispatchEvent(new MouseEvent('mousedown', { bubbles: true, cancelable: true }));
}

function button(text: string, name: string, action: (e: MouseEvent) => void): HTMLElement {
  const out = document.createElement('button');
  out.type = 'button';
  out.className = 'ui-button';
  out.textContent = text;
  out.title = name;
  out.setAttribute('aria-label', name);
  out.addEventListener('click', (e) => {
    e.preventDefault();
    action(e);
  });
  return out;
}
