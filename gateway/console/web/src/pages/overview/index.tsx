import { useRights } from '../../app/rights';
import { useViewer } from '../../app/session';
import { plain } from '../../lib/format';
import { Page } from '../../ui';
import { SourceHealth } from './health';
import { Live } from './live';
import { Refusals } from './refusals';
import { Start } from './start';

/** The first page: what happens now, as far as the reader may see it, what they may use, and how. */
export default function Overview() {
  const can = useRights();
  const viewer = useViewer();
  const [traffic, sources, audit] = [can('traffic', 'read'), can('sources', 'read'), can('audit', 'read')];
  return (
    <Page
      title="Overview"
      hint={
        traffic
          ? 'What passes through this node of the gateway, second by second.'
          : `Signed in as ${plain(viewer.name || viewer.id)}.`
      }
    >
      {traffic && <Live links={sources} />}
      {(sources || audit) && (
        <div className="grid">
          {sources && <SourceHealth />}
          {audit && <Refusals />}
        </div>
      )}
      <Start />
    </Page>
  );
}
