import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkQuiet, type Persona, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';

let gateway: Gateway;
let browser: Browser;
beforeAll(async () => {
  [gateway, browser] = await Promise.all([startGateway('auth: {api_keys: {}}\n'), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** What an area of the menu shows, as the gateway is asked for it. */
const areas = [
  { title: 'Sources', path: 'sources', field: 'sources { name }', rest: '/admin/v1/sources' },
  { title: 'Policy', path: 'policy', field: 'policy { id }', rest: '/admin/v1/policy' },
  { title: 'Audit', path: 'audit', field: 'auditRecords(first: 1) { endCursor }', rest: '/admin/v1/audit/records' },
  { title: 'Sessions', path: 'sessions', field: 'sessions { totalCount }', rest: '/admin/v1/sessions' },
  { title: 'Limits', path: 'limits', field: 'limits { revision }', rest: '/admin/v1/limits' },
  { title: 'Keys', path: 'keys', field: 'keys { id }', rest: '/admin/v1/keys' },
];

/** Asks as the page does: with its session, from its origin. */
const ask = (page: Page, path: string, body?: object) =>
  page.evaluate(
    async ([path, body]) => {
      const init = body ? { method: 'POST', body, headers: { 'Content-Type': 'application/json' } } : {};
      const answer = await fetch(path as string, init as RequestInit);
      return { status: answer.status, text: await answer.text() };
    },
    [path, body && JSON.stringify(body)],
  );

const menu = async (page: Page) =>
  (await page.getByRole('navigation', { name: 'Console' }).getByRole('link').allTextContents()).map((t) => t.trim());

test('an administrator has every area', async () => {
  const page = await signIn(browser, gateway, 'admin');
  expect(await menu(page)).toEqual(expect.arrayContaining(areas.map((a) => a.title)));
  for (const a of areas) {
    const { text } = await ask(page, '/graphql', { query: `{ admin { ${a.field} } }` });
    expect(text, a.title).not.toContain('PERMISSION_DENIED');
  }
  checkQuiet(page);
});

for (const persona of ['dev', 'guest'] satisfies Persona[]) {
  test(`what ${persona} must not see is not in the page, and refused by the gateway`, async () => {
    const page = await signIn(browser, gateway, persona);
    const shown = await menu(page);
    for (const a of areas) {
      expect(shown, a.title).not.toContain(a.title);
      const graphql = await ask(page, '/graphql', { query: `{ admin { ${a.field} } }` });
      expect(graphql.text, `${a.title} by GraphQL`).toContain('PERMISSION_DENIED');
      expect((await ask(page, a.rest)).status, `${a.title} by REST`).toBe(403);
      await page.goto(`${gateway.url}/console/${a.path}`);
      await page.getByText('There is no such page').waitFor();
    }
    checkQuiet(page);
  });
}

test('a tool that a guest may not call is not there, and not called', async () => {
  const page = await signIn(browser, gateway, 'guest', '/console/capabilities');
  await page.getByText('demo.echo').first().waitFor();
  expect(await page.getByText('demo.add').count()).toBe(0);
  const { text } = await ask(page, '/graphql', {
    query: 'mutation { callTool(name: "demo.add", arguments: {a: 1, b: 2}) { structured } }',
  });
  expect(text).toContain('NOT_FOUND');
});

test('another page cannot ask with the session', async () => {
  const page = await signIn(browser, gateway, 'admin');
  const [cookie] = await page.context().cookies();
  expect(cookie).toMatchObject({ httpOnly: true, secure: true, sameSite: 'Lax' });
  for (const headers of [{ Origin: 'https://evil.example' }, { 'Sec-Fetch-Site': 'cross-site' }, {}] as Record<
    string,
    string
  >[]) {
    const answer = await fetch(`${gateway.url}/graphql`, {
      method: 'POST',
      headers: { ...headers, Cookie: `${cookie?.name}=${cookie?.value}`, 'Content-Type': 'application/json' },
      body: '{"query":"{ admin { policy { id } } }"}',
    });
    expect(answer.status, JSON.stringify(headers)).toBeGreaterThanOrEqual(400);
  }
});
