import { Button } from 'react-aria-components';
import { useClient } from 'urql';
import { useLocation } from 'wouter';
import { useRights } from '../../app/rights';
import { cut, moment } from '../../lib/format';
import { ConfirmButton, Empty, Failures, Field, Loading, Note, Panel } from '../../ui';
import { Checks } from './checks';
import { Conflict, Rebase } from './conflict';
import { PolicyPage, versionWords } from './frame';
import { Merge } from './lazy';
import css from './policy.module.css';
import { activateDraft, discardDraft } from './queries';
import { FreshSummary, Review } from './review';
import { type DraftWork, useDraft } from './use-draft';
import type { Subject } from './use-review';
import { Write } from './write';

/** One draft: written, tested, looked at, and put in force. */
export function DraftPage({ id }: { id: string }) {
  const work = useDraft(id);
  const { draft, typed } = work;
  return (
    <PolicyPage
      title={draft ? cut(typed.comment || `Draft ${id}`, 120) : 'Draft'}
      hint={draft && `Draft ${id}, made from ${versionWords(draft.base)}, saved ${moment(draft.changed)}`}
    >
      <Failures error={work.error} />
      {work.loading && <Loading what="the draft" />}
      {work.gone && <Gone work={work} />}
      {draft && (work.theirs ? <Conflict work={work} /> : <Workspace id={id} work={work} />)}
    </PolicyPage>
  );
}

/** The draft was discarded or put in force meanwhile: what was typed goes on in another one. */
function Gone({ work }: { work: DraftWork }) {
  const [, navigate] = useLocation();
  if (!work.typed.csv) {
    return (
      <Empty title="There is no such draft">
        It has been put in force or discarded. The history has what was in force.
      </Empty>
    );
  }
  const rescue = async () => {
    const id = await work.rescue();
    if (id) navigate(`/policy/drafts/${encodeURIComponent(id)}`);
  };
  return (
    <Panel title="This draft is gone">
      <p>It has been put in force or discarded by somebody. What you have typed is still here.</p>
      <div className="row">
        <Button className="react-aria-Button primary" onPress={rescue}>
          Begin a new draft with what I have typed
        </Button>
      </div>
    </Panel>
  );
}

function Workspace({ id, work }: { id: string; work: DraftWork }) {
  const { draft, typed, dirty } = work;
  const can = useRights();
  if (!draft) return null;
  const mayChange = can('policy', 'admin');
  const onSave = () => void work.save();
  const subject: Subject = { csv: typed.csv, checks: typed.checks, draft: id, inForce: work.inForce?.csv ?? '' };
  const ready = async () => (!dirty || (await work.save()) ? subject : undefined);
  return (
    <>
      <Notes work={work} />
      <Rebase work={work} />
      <div className={css.workspace}>
        <Write csv={typed.csv} onChange={(csv) => work.edit({ csv })} onSave={onSave} />
        <div className={css.side}>
          <Panel title="Why">
            <Field
              label="Comment"
              value={typed.comment}
              onChange={(comment) => work.edit({ comment })}
              maxLength={500}
            />
          </Panel>
          <Checks csv={typed.csv} checks={typed.checks} onChange={(checks) => work.edit({ checks })} onSave={onSave} />
        </div>
      </div>
      <Review title="What it would do" label={dirty ? 'Save and look' : 'Look'} subject={subject} ready={ready} />
      <div className={`spread ${css.bar}`}>
        <span role="status" className={dirty ? undefined : 'muted'}>
          {work.saving ? 'Saving…' : dirty ? 'There are changes that are not saved.' : 'Everything is saved.'}
        </span>
        <div className="row">
          {dirty && <Button onPress={work.revert}>Drop my changes</Button>}
          {mayChange && <Discard id={id} work={work} />}
          <Button className="react-aria-Button primary" isDisabled={!dirty || work.saving} onPress={onSave}>
            Save
          </Button>
          {mayChange && <Activate id={id} work={work} subject={subject} />}
        </div>
      </div>
    </>
  );
}

function Notes({ work }: { work: DraftWork }) {
  return (
    <>
      {work.unkept && (
        <Note tone="warn">
          The browser has no room to keep this text over a reload. Save it before you leave the page.
        </Note>
      )}
      {work.restored && work.dirty && (
        <Note tone="accent">What you had typed before the page was loaded again is here, and not saved yet.</Note>
      )}
      {work.aside && (
        <Panel
          title="Put aside"
          actions={
            <>
              <Button onPress={work.bringBack}>Bring it back</Button>
              <Button onPress={work.forgetAside}>Forget it</Button>
            </>
          }
        >
          <p className="muted">What you had typed before. Red is what was put aside, green what is below.</p>
          <Merge label="What was put aside and what is here" from={work.aside.csv} to={work.typed.csv} />
        </Panel>
      )}
    </>
  );
}

function Discard({ id, work }: { id: string; work: DraftWork }) {
  const client = useClient();
  const [, navigate] = useLocation();
  const act = async () => {
    const { error } = await client.mutation(discardDraft, { id, revision: work.draft?.revision ?? 0 }).toPromise();
    if (error) return <Failures error={error} />;
    navigate('/policy/drafts');
    return undefined;
  };
  return (
    <ConfirmButton label="Discard" title="Discard the draft" confirm="Discard" danger act={act}>
      <p>The draft is deleted, with what you have not saved. The policy in force stays as it is.</p>
    </ConfirmButton>
  );
}

function Activate({ id, work, subject }: { id: string; work: DraftWork; subject: Subject }) {
  const client = useClient();
  const [, navigate] = useLocation();
  const act = async () => {
    const { data, error } = await client
      .mutation(activateDraft, { id, revision: work.draft?.revision ?? 0 })
      .toPromise();
    if (!data?.activatePolicy) {
      void work.load();
      return <Failures error={error} />;
    }
    navigate(`/policy/history/${data.activatePolicy.id}`);
    return undefined;
  };
  const late = work.draft?.base !== work.inForce?.id;
  return (
    <ConfirmButton
      label="Put in force…"
      title="Put this policy in force"
      confirm="Put in force"
      isDisabled={work.dirty || work.saving || late}
      act={act}
    >
      <p>It takes effect on every node at once. What it does not allow any more ends.</p>
      <FreshSummary subject={subject} days={7} />
    </ConfirmButton>
  );
}
