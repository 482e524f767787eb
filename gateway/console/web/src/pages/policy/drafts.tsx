import { useState } from 'react';
import { Button } from 'react-aria-components';
import { useMutation, useQuery } from 'urql';
import { useLocation } from 'wouter';
import { useRights } from '../../app/rights';
import { cut, moment } from '../../lib/format';
import { Badge, Empty, Failures, Field, Loading, Rows, Window } from '../../ui';
import { FileNote, fileOf, PolicyPage, versionWords } from './frame';
import css from './policy.module.css';
import { createDraft, type DraftEntry, draftsQuery } from './queries';
import { whole } from './static';

/** The drafts, the one changed last first. */
export function Drafts() {
  const [{ data, error, fetching }] = useQuery({ query: draftsQuery, requestPolicy: 'network-only' });
  const can = useRights();
  const drafts = data?.admin.policyDrafts;
  const inForce = data?.admin.policy;
  const file = inForce ? fileOf(inForce) : '';
  return (
    <PolicyPage
      title="Drafts of the policy"
      hint="A draft is written, tested and looked at before it replaces the version in force."
      actions={can('policy', 'admin') && <NewDraft />}
    >
      <Failures error={error} />
      {file && <FileNote file={cut(file, 300)} />}
      {!data && fetching && <Loading what="drafts" />}
      {drafts && (
        <Rows
          label="Drafts"
          pages={whole(drafts)}
          id={(d) => d.id}
          text={(d) => d.comment || d.id}
          href={(d) => `/policy/drafts/${encodeURIComponent(d.id)}`}
          height={64}
          most="62dvh"
          row={(d) => <DraftRow draft={d} inForce={inForce?.id} />}
          empty={<Empty title="No drafts">Begin one to change the policy: it starts with the rules in force.</Empty>}
        />
      )}
    </PolicyPage>
  );
}

const DraftRow = ({ draft: d, inForce }: { draft: DraftEntry; inForce?: number }) => (
  <div className={css.entry}>
    <span>
      <strong>{d.comment ? cut(d.comment, 200) : 'Without a comment'}</strong>{' '}
      {inForce !== undefined && d.base !== inForce && <Badge tone="warn">made from {versionWords(d.base)}</Badge>}
    </span>
    <span className="muted">
      {moment(d.changed)} · begun by {cut(d.author, 200)} · {d.id}
    </span>
  </div>
);

/** Begins a draft with the rules in force, and opens it. */
export function NewDraft() {
  const [open, setOpen] = useState(false);
  const [comment, setComment] = useState('');
  const [{ error, fetching }, create] = useMutation(createDraft);
  const [, navigate] = useLocation();
  const begin = async () => {
    const { data } = await create({ comment });
    if (data?.createPolicyDraft) navigate(`/policy/drafts/${encodeURIComponent(data.createPolicyDraft.id)}`);
  };
  return (
    <>
      <Button className="react-aria-Button primary" onPress={() => setOpen(true)}>
        New draft
      </Button>
      <Window title="New draft" isOpen={open} onClose={() => setOpen(false)}>
        <p className="muted">It begins with the rules in force, and changes nothing until it is put in force.</p>
        <Field
          label="Why"
          value={comment}
          onChange={setComment}
          maxLength={500}
          autoFocus
          hint="Can be changed later."
        />
        <Failures error={error} />
        <div className="actions">
          <Button onPress={() => setOpen(false)}>Cancel</Button>
          <Button className="react-aria-Button primary" isDisabled={fetching} onPress={begin}>
            Begin
          </Button>
        </div>
      </Window>
    </>
  );
}
