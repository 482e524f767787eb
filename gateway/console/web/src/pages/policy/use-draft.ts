import type { CombinedError } from '@urql/core';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from 'urql';
import { useViewer } from '../../app/session';
import { useConnection } from '../../lib/connection';
import { failures, isAborted } from '../../lib/errors';
import { keep, readKept, type Typed } from './kept';
import { createDraft, type Draft, draftQuery, type InForce, saveDraft } from './queries';

export type DraftState = {
  /** As it was read or saved last; undefined while it is not here. */
  draft?: Draft;
  /** The policy in force, as it was read last. */
  inForce?: InForce;
  /** What the editor holds. */
  typed: Typed;
  /** What somebody else has saved meanwhile. */
  theirs?: Draft;
  /** What was typed before the reader took somebody else's text. */
  aside?: Typed;
  /** Whether what is shown was typed before the page was loaded again. */
  restored: boolean;
  /** Whether the browser has no room to keep what is typed beyond a reload. */
  unkept: boolean;
  gone: boolean;
  loading: boolean;
  saving: boolean;
  error?: CombinedError;
};

const typedOf = (d: Draft): Typed => ({ csv: newlines(d.csv), checks: newlines(d.checks), comment: d.comment });
const newlines = (text: string) => text.replaceAll('\r\n', '\n');
const same = (a: Typed, b: Typed) => a.csv === b.csv && a.checks === b.checks && a.comment === b.comment;
const isGone = (error: CombinedError | undefined) => failures(error).some((f) => f.code === 'NOT_FOUND');

const begin: DraftState = {
  typed: { csv: '', checks: '', comment: '' },
  restored: false,
  unkept: false,
  gone: false,
  loading: true,
  saving: false,
};

/** A draft that is being written. What is typed stays until it is saved, whatever happens meanwhile. */
export function useDraft(id: string) {
  const client = useClient();
  const viewer = useViewer().id;
  const connection = useConnection();
  const [state, set] = useState(begin);
  const now = useRef(state);
  now.current = state;
  const dirty = !!state.draft && !same(state.typed, typedOf(state.draft));

  const fetchDraft = useCallback(
    () => client.query(draftQuery, { id }, { requestPolicy: 'network-only' }).toPromise(),
    [client, id],
  );

  const load = useCallback(async () => {
    const { data, error } = await fetchDraft();
    const draft = data?.admin.policyDraft ?? undefined;
    const inForce = data?.admin.policy ?? undefined;
    const kept = readKept(viewer, id);
    set((s) => {
      if (s.draft || !draft) {
        const gone = isGone(error);
        const typed = s.draft || !kept ? s.typed : kept;
        return { ...s, inForce: inForce ?? s.inForce, gone, typed, loading: false, error: gone ? undefined : error };
      }
      const restored = !!kept && !same(kept, typedOf(draft));
      const typed = restored ? { csv: kept.csv, checks: kept.checks, comment: kept.comment } : typedOf(draft);
      const theirs = restored && kept.revision !== draft.revision ? draft : undefined;
      return { ...s, draft, inForce, typed, theirs, restored, loading: false, error };
    });
  }, [fetchDraft, viewer, id]);

  useEffect(() => {
    set(begin);
    void load();
  }, [load]);

  // Another version may have come into force while the reader was elsewhere.
  useEffect(() => {
    const look = async () => {
      const { data } = await fetchDraft();
      const inForce = data?.admin.policy;
      if (inForce) set((s) => ({ ...s, inForce }));
    };
    window.addEventListener('focus', look);
    return () => window.removeEventListener('focus', look);
  }, [fetchDraft]);

  const draft = state.draft;
  useEffect(() => {
    if (!draft) return;
    const room = keep(viewer, id, dirty ? { ...state.typed, revision: draft.revision } : undefined);
    set((s) => (s.unkept === !room ? s : { ...s, unkept: !room }));
  }, [viewer, id, dirty, draft, state.typed]);

  const wasExpired = useRef(false);
  useEffect(() => {
    if (wasExpired.current && connection === 'ok') set((s) => ({ ...s, error: undefined })); // Signed in again.
    wasExpired.current = connection === 'expired';
    if (connection === 'ok' && !now.current.draft && !now.current.loading && !now.current.gone) void load();
  }, [connection, load]);

  const edit = useCallback((change: Partial<Typed>) => set((s) => ({ ...s, typed: { ...s.typed, ...change } })), []);

  /** Saves; gives the draft as it is then, or nothing where it could not be saved. */
  const save = useCallback(
    async (over: { revision?: number; rebase?: boolean; typed?: Typed } = {}): Promise<Draft | undefined> => {
      const { draft } = now.current;
      const typed = over.typed ?? now.current.typed;
      if (!draft || now.current.saving) return undefined;
      set((s) => ({ ...s, saving: true, error: undefined }));
      const asked = { id, revision: over.revision ?? draft.revision, rebase: !!over.rebase, ...typed };
      const { data, error } = await client.mutation(saveDraft, asked).toPromise();
      const saved = data?.savePolicyDraft?.draft;
      if (saved) {
        const next = { ...draft, ...typed, revision: saved.revision, base: saved.base };
        set((s) => ({ ...s, draft: next, theirs: undefined, restored: false, saving: false }));
        return next;
      }
      if (!isAborted(error)) {
        set((s) => ({ ...s, saving: false, gone: isGone(error), error: isGone(error) ? undefined : error }));
        return undefined;
      }
      const other = await fetchDraft();
      const theirs = other.data?.admin.policyDraft ?? undefined;
      const inForce = other.data?.admin.policy ?? now.current.inForce;
      set((s) => ({
        ...s,
        saving: false,
        theirs,
        inForce,
        gone: isGone(other.error),
        error: theirs ? undefined : error,
      }));
      return undefined;
    },
    [client, fetchDraft, id],
  );

  return {
    ...state,
    dirty,
    edit,
    save,
    load,
    /** Shows what the other has saved; what was typed is put aside. */
    takeTheirs: () =>
      set((s) =>
        s.theirs
          ? { ...s, draft: s.theirs, typed: typedOf(s.theirs), aside: s.typed, theirs: undefined, restored: false }
          : s,
      ),
    /** Goes on with a merge of both, which replaces what the other has saved when it is saved. */
    takeMerge: (typed: Partial<Typed>) =>
      set((s) =>
        s.theirs ? { ...s, draft: s.theirs, typed: { ...s.typed, ...typed }, theirs: undefined, aside: s.typed } : s,
      ),
    /** Shows what was put aside, and puts aside what is shown. */
    bringBack: () => set((s) => (s.aside ? { ...s, typed: s.aside, aside: s.typed } : s)),
    forgetAside: () => set((s) => ({ ...s, aside: undefined })),
    /** Drops what was typed, for what is saved. */
    revert: () => set((s) => (s.draft ? { ...s, typed: typedOf(s.draft), aside: s.typed, restored: false } : s)),
    /** Begins another draft with what was typed; gives its id. */
    rescue: async (): Promise<string | undefined> => {
      const { typed } = now.current;
      const made = await client.mutation(createDraft, { comment: typed.comment }).toPromise();
      const next = made.data?.createPolicyDraft;
      if (!next) {
        set((s) => ({ ...s, error: made.error }));
        return undefined;
      }
      keep(viewer, next.id, { ...typed, revision: next.revision });
      keep(viewer, id, undefined);
      return next.id;
    },
  };
}

export type DraftWork = ReturnType<typeof useDraft>;
