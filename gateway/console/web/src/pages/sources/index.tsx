import { Link, Route, Switch } from 'wouter';
import { Empty } from '../../ui';
import { Detail } from './detail';
import { List } from './list';
import { PinDetail } from './pin';

export default function Sources() {
  return (
    <Switch>
      <Route path="/sources">
        <List />
      </Route>
      <Route path="/sources/:name/pins/:id">
        {(p) => <PinDetail key={p.id} id={decode(p.id)} source={decode(p.name)} />}
      </Route>
      <Route path="/sources/:name">{(p) => <Detail key={p.name} name={decode(p.name)} />}</Route>
      <Route>
        <Empty title="There is no such page">
          <Link href="/sources">See all sources.</Link>
        </Empty>
      </Route>
    </Switch>
  );
}

/** Part of a path as text; one that is no valid encoding stands for itself. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
