// The API reference: the OpenAPI documents of the gateway, as the reader's session may see them, in Swagger UI.
import SwaggerUI from 'swagger-ui-dist/swagger-ui-es-bundle.js';
import 'swagger-ui-dist/swagger-ui.css';
import './docs.css';

const documents = [
  { id: 'calls', title: 'Capabilities', url: '/openapi.json', hint: 'What you may call, typed, at this moment.' },
  {
    id: 'admin',
    title: 'Administration',
    url: '/admin/v1/openapi.json',
    hint: 'Policy, keys, sessions, sources, limits and the audit log.',
  },
] as const;

type Child = Node | string;

function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Record<string, string>,
  ...children: Child[]
) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  e.append(...children);
  return e;
}

/** Whether a request goes to the gateway: a document could name another server, and it must not get what is typed here. */
const ours = (url: string) => new URL(url, window.location.href).origin === window.location.origin;

async function show() {
  const root = document.getElementById('root');
  if (!root) throw new Error('the page has no place for the reference');
  const wanted = new URLSearchParams(window.location.search).get('api');
  const shown = documents.find((d) => d.id === wanted) ?? documents[0];
  const links = documents.map((d) =>
    element('a', { href: `?api=${d.id}`, ...(d === shown ? { 'aria-current': 'page' } : {}) }, d.title),
  );
  const place = element('div', { id: 'reference' });
  const main = element('main', {}, place);
  root.append(
    element(
      'header',
      {},
      element('h1', {}, 'API reference'),
      element('nav', { 'aria-label': 'APIs' }, ...links, element('a', { href: '/console/' }, 'Console')),
    ),
    main,
  );

  const answer = await fetch(shown.url, { headers: { Accept: 'application/json' } }).catch(() => undefined);
  if (!answer?.ok) {
    const back = `/auth/login?return=${encodeURIComponent(window.location.pathname + window.location.search)}`;
    if (answer?.status === 401)
      place.append(
        element('p', { role: 'status' }, 'Sign in to see what you may call. ', element('a', { href: back }, 'Sign in')),
      );
    else if (answer?.status === 403)
      place.append(element('p', { role: 'alert' }, 'Your policy does not let you see this API.'));
    else place.append(element('p', { role: 'alert' }, 'The gateway does not answer. Load the page again in a moment.'));
    return;
  }
  main.prepend(element('p', { class: 'hint' }, shown.hint));
  SwaggerUI({
    domNode: place,
    spec: await answer.json(),
    docExpansion: 'list',
    defaultModelsExpandDepth: -1,
    displayRequestDuration: true,
    filter: true,
    deepLinking: true,
    validatorUrl: null,
    requestInterceptor: (request: { url: string }) => {
      if (!ours(request.url)) throw new Error('The request would leave the gateway.');
      return request;
    },
  });
}

void show();
