import { closeBrackets } from '@codemirror/autocomplete';
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands';
import { EditorState, type Extension } from '@codemirror/state';
import { EditorView, highlightActiveLine, highlightSpecialChars, keymap, lineNumbers } from '@codemirror/view';

/** The nonce that lets the editor write its styles under the page's policy. */
function nonce(): string {
  const meta = document.querySelector('meta[property=csp-nonce]');
  return meta instanceof HTMLMetaElement ? meta.nonce : '';
}

// What is not seen is shown as data, as everywhere in the console.
const unseen = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]|\p{Variation_Selector}/gu;

const looks = EditorView.theme({
  '&': { color: 'var(--text)', backgroundColor: 'var(--surface)', fontSize: '0.9rem' },
  '.cm-content': { fontFamily: 'var(--mono)', caretColor: 'var(--text)', padding: '8px 0' },
  '.cm-cursor': { borderLeftColor: 'var(--text)' },
  '.cm-scroller': { overflow: 'auto', lineHeight: '1.6' },
  '.cm-gutters': { backgroundColor: 'var(--sunken)', color: 'var(--muted)', border: '0' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--accent-soft)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-tooltip': { backgroundColor: 'var(--raised)', color: 'var(--text)', border: '1px solid var(--line-strong)' },
  '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
    backgroundColor: 'var(--accent)',
    color: 'var(--accent-text)',
  },
  '.cm-diagnostic-error': { borderLeftColor: 'var(--bad)' },
  '.cm-diagnostic-warning': { borderLeftColor: 'var(--warn)' },
  '.cm-changedLine, .cm-insertedLine': { backgroundColor: 'var(--good-soft) !important' },
  '&.cm-merge-a .cm-changedLine, &.cm-merge-a .cm-deletedLine': { backgroundColor: 'var(--bad-soft) !important' },
  '.cm-deletedChunk': { backgroundColor: 'var(--bad-soft) !important', color: 'var(--text)' },
  '.cm-deletedChunk .cm-chunkButtons': { position: 'static', display: 'flex', gap: '6px', padding: '4px 6px' },
  '.cm-deletedChunk .cm-chunkButtons button': {
    minHeight: '28px',
    padding: '2px 10px',
    color: 'var(--text)',
    background: 'var(--raised)',
    border: '1px solid var(--line-strong)',
  },
  '.cm-changedText': { background: 'none !important', fontWeight: '700' },
  '.cm-deletedText': { background: 'none !important', fontWeight: '700' },
  '.cm-collapsedLines': { background: 'var(--sunken)', color: 'var(--muted)' },
});

/** What every editor of the console has. `label` is its name for screen readers. */
export function basics(label: string, readOnly: boolean): Extension {
  return [
    EditorView.cspNonce.of(nonce()),
    looks,
    lineNumbers(),
    highlightSpecialChars({ addSpecialChars: unseen }),
    EditorView.contentAttributes.of({ 'aria-label': label, spellcheck: 'false', autocapitalize: 'off' }),
    EditorView.lineWrapping,
    readOnly
      ? [EditorState.readOnly.of(true)]
      : [history(), highlightActiveLine(), closeBrackets(), keymap.of([...defaultKeymap, ...historyKeymap])],
  ];
}
