import { Tab, TabList, TabPanel, Tabs } from 'react-aria-components';
import { useQuery } from 'urql';
import { Code, Failures, Panel } from '../../ui';
import css from './capabilities.module.css';
import { doorsQuery } from './documents';
import { snippets, type What } from './snippets';

/** The same call through every door, to be copied. */
export function Copy({ what }: { what: What }) {
  const [{ data, error }] = useQuery({ query: doorsQuery });
  const all = data ? snippets(what, { http: window.location.origin, grpc: data.doors.grpc }) : [];
  return (
    <Panel title="The same from a terminal">
      <p className="muted">
        Put a token into <code>TOKEN</code> first; of a gateway in development mode <code>gateway token --as dev</code>{' '}
        prints one.
      </p>
      <Failures error={error} />
      <Tabs>
        <div className={css.tabs}>
          <TabList aria-label="Doors">
            {all.map((s) => (
              <Tab key={s.id} id={s.id}>
                {s.title}
              </Tab>
            ))}
          </TabList>
        </div>
        {all.map((s) => (
          <TabPanel key={s.id} id={s.id}>
            <Code text={s.text} label={`${s.title} command`} most={20_000} />
          </TabPanel>
        ))}
      </Tabs>
    </Panel>
  );
}
