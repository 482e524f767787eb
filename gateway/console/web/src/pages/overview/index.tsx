import { useState } from 'react';
import { count, duration } from '../../lib/format';
import { graphql, type ResultOf } from '../../lib/graphql';
import { useLive } from '../../lib/live';
import { Failures, Loading, Page, Panel } from '../../ui';

const trafficEvents = graphql(`
  subscription Traffic {
    traffic(seconds: 1) {
      total { calls refused failed p50Ms p99Ms }
    }
  }
`);

export default function Overview() {
  const [traffic, setTraffic] = useState<ResultOf<typeof trafficEvents>['traffic']>();
  const error = useLive(trafficEvents, {}, (data) => setTraffic(data.traffic));
  return (
    <Page title="Overview">
      <Failures error={error} />
      <Panel title="Now">
        {traffic ? (
          <dl className="facts">
            <dt>Calls per second</dt>
            <dd>{count(traffic.total.calls)}</dd>
            <dt>Half within</dt>
            <dd>{duration(traffic.total.p50Ms)}</dd>
          </dl>
        ) : (
          !error && <Loading />
        )}
      </Panel>
    </Page>
  );
}
