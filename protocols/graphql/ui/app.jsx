// GraphiQL on the endpoint that this page lies under. The headers editor is where a token goes:
// {"Authorization": "Bearer …"}. It is sent with every request and as connection_init's payload, and not stored.
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import 'graphiql/graphiql.css';
import './page.css';

const url = new URL('..', window.location.href);
url.pathname = url.pathname.replace(/\/$/, '');
url.search = url.hash = '';
const socket = new URL(url);
socket.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';

const fetcher = createGraphiQLFetcher({ url: url.href, subscriptionUrl: socket.href });
const welcome = `# ${url.href}
# A token goes into the tab "Headers" below: {"Authorization": "Bearer …"}

{
  viewer {
    name
  }
  tools(first: 10) {
    totalCount
    nodes {
      name
      description
    }
  }
}
`;

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL fetcher={fetcher} defaultQuery={welcome} defaultEditorToolsVisibility="headers" shouldPersistHeaders={false} />,
);
