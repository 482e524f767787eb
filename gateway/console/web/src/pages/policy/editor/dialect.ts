import type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
import { type Extension, type Range, RangeSetBuilder } from '@codemirror/state';
import { Decoration, type DecorationSet, type EditorView, ViewPlugin, type ViewUpdate } from '@codemirror/view';
import { type Field, fieldsOf, isComment } from '../csv';
import { actionsIn, domainsIn, objectsIn, rolesIn, subjectsIn, type Vocabulary } from '../suggest';

/** The longest line that is coloured; the gateway takes no longer one. */
const longest = 8_192;

const marks: Record<string, Decoration> = Object.fromEntries(
  ['comment', 'kind', 'subject', 'domain', 'object', 'action', 'allow', 'deny', 'condition', 'strange'].map((name) => [
    name,
    Decoration.mark({ class: `rule-${name}` }),
  ]),
);

const ruleParts = ['kind', 'subject', 'domain', 'object', 'action', 'effect', 'condition'];
const linkParts = ['kind', 'subject', 'subject', 'domain'];

function markLine(text: string, from: number, add: (r: Range<Decoration>) => void) {
  const put = (name: string, a: number, b: number) => {
    const mark = marks[name];
    if (mark && b > a) add(mark.range(from + a, from + b));
  };
  if (isComment(text)) return put('comment', 0, text.length);
  const fields = fieldsOf(text);
  const parts = fields?.[0]?.text === 'p' ? ruleParts : fields?.[0]?.text === 'g' ? linkParts : undefined;
  if (!fields || !parts) return put('strange', 0, text.length);
  fields.forEach((f, i) => {
    const part = parts[i] ?? 'strange';
    put(part === 'effect' ? effectOf(f.text) : part, f.from, f.to);
  });
}

const effectOf = (text: string) => (text === 'allow' || text === 'deny' ? text : 'strange');

function decorate(view: EditorView): DecorationSet {
  const out = new RangeSetBuilder<Decoration>();
  for (const { from, to } of view.visibleRanges) {
    for (let at = from; at <= to; ) {
      const line = view.state.doc.lineAt(at);
      if (line.length <= longest) markLine(line.text, line.from, (r) => out.add(r.from, r.to, r.value));
      at = line.to + 1;
    }
  }
  return out.finish();
}

/** Colours the parts of rules, by the parser that the tables use. */
export const colours: Extension = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;
    constructor(view: EditorView) {
      this.decorations = decorate(view);
    }
    update(u: ViewUpdate) {
      if (u.docChanged || u.viewportChanged) this.decorations = decorate(u.view);
    }
  },
  { decorations: (v) => v.decorations },
);

const plain = (labels: string[], type: string): Completion[] => labels.map((label) => ({ label, type }));
const conditionWords = [
  ...['id', 'kind', 'issuer', 'subject', 'name', 'tenant', 'groups', 'roles', 'scopes'].map((w) => `principal.${w}`),
  ...['via', 'op', 'object'].map((w) => `request.${w}`),
  ...['name', 'kind', 'source', 'tags'].map((w) => `cap.${w}`),
  ...['readOnly', 'destructive', 'idempotent', 'openWorld'].map((w) => `cap.annotations.${w}Hint`),
  'args.',
  'now',
];

const kinds: Completion[] = [
  { label: 'p, ', type: 'keyword', detail: 'a rule: subject, domain, object, action, effect' },
  { label: 'g, ', type: 'keyword', detail: 'a role: principal, role, tenant' },
];

/** Completes the field in which the cursor stands. */
export function completer(vocabulary: () => Vocabulary) {
  return async (context: CompletionContext): Promise<CompletionResult | null> => {
    const line = context.state.doc.lineAt(context.pos);
    const before = line.text.slice(0, context.pos - line.from);
    if (line.length > longest || before.trimStart().startsWith('#')) return null;
    const fields = fieldsOf(before) ?? fieldsOf(`${before}"`); // In a quoted field, its end is still to come.
    const field = fields?.at(-1);
    if (!fields || !field) return null;
    const kind = fields[0]?.text ?? '';
    if (fields.length === 1 && field.text === '' && !context.explicit) return null; // An empty line asks for nothing.
    if (fields.length === 1) return { from: line.from + field.from, options: kinds, validFor: /^\w*$/ };
    return complete(kind, fields, field, before, line.from, vocabulary());
  };
}

async function complete(
  kind: string,
  fields: Field[],
  field: Field,
  before: string,
  lineFrom: number,
  words: Vocabulary,
): Promise<CompletionResult | null> {
  const quotedBy = before[field.from] === '"' ? 1 : 0;
  const from = lineFrom + field.from + quotedBy;
  const at = fields.length - 1;
  const subjects = plain(subjectsIn(words), 'type');
  if (kind === 'g') {
    const options = [[], subjects, plain(rolesIn(words), 'type'), plain(domainsIn(words), 'namespace')][at];
    return options ? { from, options } : null;
  }
  if (kind !== 'p') return null;
  switch (at) {
    case 1:
      return { from, options: subjects };
    case 2:
      return { from, options: plain(domainsIn(words), 'namespace') };
    case 3:
      return { from, options: plain(await objectsIn(words, field.text), 'property') };
    case 4:
      return { from, options: plain(actionsIn(fields[3]?.text ?? ''), 'enum') };
    case 5:
      return { from, options: plain(['allow', 'deny'], 'keyword') };
    case 6: {
      const word = /[\w.]*$/.exec(before)?.[0] ?? '';
      return { from: lineFrom + before.length - word.length, options: plain(conditionWords, 'variable') };
    }
    default:
      return null;
  }
}
