import { Route, Switch } from 'wouter';
import { Empty } from '../../ui';
import { Current } from './current';
import { DraftPage } from './draft';
import { Drafts } from './drafts';
import { Explain } from './explain';
import { History, VersionPage } from './history';
import { Try } from './try';

/** Who may use what: the rules, drafts of them, their history, and why something is decided as it is. */
export default function Policy() {
  return (
    <Switch>
      <Route path="/policy" component={Current} />
      <Route path="/policy/drafts" component={Drafts} />
      <Route path="/policy/drafts/:id">{({ id }) => <DraftPage key={id} id={id} />}</Route>
      <Route path="/policy/history" component={History} />
      <Route path="/policy/history/:id">{({ id }) => <VersionPage key={id} id={Number(id)} />}</Route>
      <Route path="/policy/explain" component={Explain} />
      <Route path="/policy/try" component={Try} />
      <Route>
        <Empty title="There is no such page" />
      </Route>
    </Switch>
  );
}
