import { useLocation } from 'wouter';
import { Empty, Page } from '../../ui';
import { Detail } from './detail';
import { kinds } from './documents';
import { List } from './list';

export default function Capabilities() {
  useLocation(); // To be drawn anew when it changes. It undoes escapes of its own, so that the path is read as it stands.
  const [kind, id] = window.location.pathname.replace(/^\/console\/capabilities\/?/, '').split('/');
  if (!kind) return <List />;
  const known = kinds.find((k) => k === kind);
  const name = decoded(id);
  if (!known || !name) {
    return (
      <Page title="Capabilities">
        <Empty title="There is no such page">Search for what you want in the list of capabilities.</Empty>
      </Page>
    );
  }
  return <Detail key={`${known} ${name}`} kind={known} id={name} />;
}

function decoded(text = ''): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}
