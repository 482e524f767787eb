import { unifiedMergeView } from '@codemirror/merge';
import { EditorState } from '@codemirror/state';
import { EditorView } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import css from '../policy.module.css';
import { colours } from './dialect';
import { basics } from './setup';

/**
 * Two texts as one, with what differs. With `onChange` the second can be written on, and each difference be kept or
 * replaced by the first text's; without, it is only shown.
 */
export default function Merge(props: {
  label: string;
  from: string;
  to: string;
  /** What the buttons at each difference say. */
  words?: { accept: string; reject: string };
  onChange?: (text: string) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const editable = !!props.onChange;

  // biome-ignore lint/correctness/useExhaustiveDependencies: What is written on must not begin anew.
  useEffect(() => {
    if (!box.current) return;
    const { words, label } = latest.current;
    const editor = new EditorView({
      parent: box.current,
      state: EditorState.create({
        doc: props.to,
        extensions: [
          basics(label, !editable),
          colours,
          unifiedMergeView({
            original: props.from.replaceAll('\r\n', '\n'),
            mergeControls: editable && words ? (type, action) => button(words[type], action) : false,
            syntaxHighlightDeletions: false,
            collapseUnchanged: editable ? undefined : { margin: 3, minSize: 8 },
            diffConfig: { scanLimit: 2_000, timeout: 500 },
          }),
          EditorView.updateListener.of((u) => {
            if (u.docChanged) latest.current.onChange?.(u.state.doc.toString());
          }),
        ],
      }),
    });
    return () => editor.destroy();
  }, [props.from, editable, editable || props.to]);

  return <div ref={box} className={css.editor} />;
}

function button(text: string, action: (e: MouseEvent) => void): HTMLElement {
  const out = document.createElement('button');
  out.type = 'button';
  out.className = 'ui-button';
  out.textContent = text;
  out.addEventListener('click', (e) => {
    e.preventDefault();
    action(e);
  });
  return out;
}
