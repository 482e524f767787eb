import { autocompletion, completionKeymap } from '@codemirror/autocomplete';
import { type Diagnostic, lintGutter, setDiagnostics } from '@codemirror/lint';
import { EditorSelection, EditorState, type Text } from '@codemirror/state';
import { EditorView, keymap } from '@codemirror/view';
import { useEffect, useRef } from 'react';
import { plain } from '../../../lib/format';
import { fieldsOf } from '../csv';
import css from '../policy.module.css';
import type { Problem } from '../queries';
import type { Vocabulary } from '../suggest';
import { colours, completer } from './dialect';
import { basics } from './setup';

/** A place to go to: the same line again is another object. */
export type Place = { line: number };

/**
 * An editor of rules. `value` may change from outside, too: only what differs is then replaced, so that the cursor and
 * what can be undone stay.
 */
export default function Editor(props: {
  label: string;
  value: string;
  onChange?: (text: string) => void;
  onSave?: () => void;
  /** Rules, or plain text such as checks. */
  language?: 'rules' | 'text';
  problems?: Problem[];
  vocabulary?: Vocabulary;
  place?: Place;
  size?: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView>(undefined);
  const latest = useRef(props);
  latest.current = props;

  // biome-ignore lint/correctness/useExhaustiveDependencies: The editor is made once; what changes reaches it below.
  useEffect(() => {
    if (!box.current) return;
    const rules = props.language !== 'text';
    const editor = new EditorView({
      parent: box.current,
      state: EditorState.create({
        doc: props.value,
        extensions: [
          keymap.of([
            {
              key: 'Mod-s',
              preventDefault: true,
              run: () => {
                latest.current.onSave?.();
                return true;
              },
            },
            ...completionKeymap,
          ]),
          basics(props.label, !props.onChange),
          rules ? colours : [],
          rules && props.onChange
            ? [
                lintGutter(),
                autocompletion({ icons: false, override: [completer(() => latest.current.vocabulary ?? none)] }),
              ]
            : [],
          EditorView.updateListener.of((u) => {
            if (u.docChanged) latest.current.onChange?.(u.state.doc.toString());
          }),
        ],
      }),
    });
    view.current = editor;
    return () => editor.destroy();
  }, []);

  useEffect(() => {
    const editor = view.current;
    if (editor) replaceText(editor, props.value);
  }, [props.value]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || !props.problems) return;
    editor.dispatch(setDiagnostics(editor.state, diagnostics(editor.state.doc, props.problems)));
  }, [props.problems]);

  useEffect(() => {
    const editor = view.current;
    if (!editor || !props.place) return;
    const { from } = editor.state.doc.line(Math.max(1, Math.min(props.place.line, editor.state.doc.lines)));
    editor.dispatch({ selection: EditorSelection.cursor(from), scrollIntoView: true });
    editor.focus();
  }, [props.place]);

  return <div ref={box} className={css.editor} style={{ '--editor-height': props.size } as React.CSSProperties} />;
}

const none: Vocabulary = { subjects: [], roles: [], domains: [], objects: [], search: async () => [] };

/** Replaces what differs, between the beginning and the end that both texts have. */
function replaceText(editor: EditorView, text: string) {
  const old = editor.state.doc.toString();
  const next = text.replaceAll('\r\n', '\n');
  if (old === next) return;
  let from = 0;
  while (from < old.length && from < next.length && old[from] === next[from]) from++;
  let same = 0;
  const most = Math.min(old.length, next.length) - from;
  while (same < most && old[old.length - 1 - same] === next[next.length - 1 - same]) same++;
  editor.dispatch({ changes: { from, to: old.length - same, insert: next.slice(from, next.length - same) } });
}

/** The gateway's problems at their fields; the text may have changed since it was asked. */
function diagnostics(doc: Text, problems: Problem[]): Diagnostic[] {
  return problems
    .filter((p) => p.line > 0 && p.line <= doc.lines)
    .map((p) => {
      const line = doc.line(p.line);
      const column = [...line.text].slice(0, Math.max(0, p.column - 1)).join('').length; // From characters to UTF-16.
      const field = p.column > 1 ? fieldsOf(line.text)?.find((f) => f.from <= column && column < f.to) : undefined;
      return {
        from: line.from + Math.min(field?.from ?? column, line.length),
        to: line.from + (field?.to ?? line.length),
        severity: p.warning ? ('warning' as const) : ('error' as const),
        message: plain(p.hint ? `${p.message} (${p.hint})` : p.message),
      };
    });
}
