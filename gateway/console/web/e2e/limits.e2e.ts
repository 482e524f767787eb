import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { checkPage, checkQuiet, signIn } from './browser';
import { startGateway } from './gateway';
import { ask, call, stage } from './stage';

const world = stage(`
limits:
  rates:
    - {name: everybody, per: principal, rate: 600/m, burst: 100}
    - {name: developers, per: role, match: {roles: [dev]}, rate: 6000/h}
    - {name: demo-tools, per: tool, match: {tools: ["demo.*"]}, rate: 50/s}
`);

const overrides = (page: Page) => page.getByRole('list', { name: 'Overrides' }).getByRole('listitem');
const form = (page: Page) => page.getByRole('dialog', { name: 'Override a limit' });

async function choose(page: Page, label: string, option: string) {
  await form(page).getByRole('button', { name: label }).click();
  await page.getByRole('option', { name: option, exact: true }).click();
}

/** Opens the form and fills it in. */
async function fill(page: Page, kind: string, key: string, calls: string) {
  await page.getByRole('button', { name: 'Override a limit' }).click();
  await choose(page, 'Whose', kind);
  await form(page).getByRole('textbox', { name: 'Key' }).fill(key);
  await form(page).getByRole('textbox', { name: 'Calls' }).fill(calls);
}

const set = (page: Page, name = 'Set') => form(page).getByRole('button', { name, exact: true }).click();

test('an override refuses at every door until it is removed', async () => {
  const dev = await world.signIn('dev');
  for (let i = 0; i < 3; i++) expect(await call(dev, 'demo.echo', { text: 'x' })).toBe(200);
  const page = await world.signIn('admin', '/console/limits');
  await page.getByText('No override is in force').waitFor();
  await page
    .getByRole('group', { name: 'Rules' })
    .getByRole('row', { name: /^everybody/ })
    .waitFor();

  await fill(page, 'A tool', 'demo.echo', '0');
  await form(page).getByText('A whole number, 1 or more').waitFor();
  expect(await form(page).getByRole('button', { name: 'Set', exact: true }).isDisabled()).toBe(true);
  await form(page).getByRole('textbox', { name: 'Calls' }).fill('1');
  await choose(page, 'In', 'an hour');
  await form(page).getByLabel('Reason').fill('the echo is loud today');
  await form(page).getByText('It takes the place of demo-tools (50 a second)').waitFor();
  await checkPage(page, 'limits-override');
  await page.route('**/graphql', (route) => route.abort());
  await set(page);
  await form(page).getByText('The limit is as it was').waitFor();
  expect(await form(page).getByLabel('Reason').inputValue()).toBe('the echo is loud today');
  await page.unroute('**/graphql');
  await set(page);
  await overrides(page).filter({ hasText: 'demo.echo' }).getByText('1 an hour').waitFor();

  expect(await call(dev, 'demo.echo', { text: 'x' })).toBe(200);
  const rest = await ask(dev, '/v1/tools/demo.echo:call', { text: 'x' });
  expect(rest.status).toBe(429);
  expect(Number(rest.retryAfter)).toBeGreaterThan(3_000);
  const query = 'mutation { callTool(name: "demo.echo", arguments: {text: "x"}) { structured } }';
  const { errors } = JSON.parse((await ask(dev, '/graphql', { query })).text);
  expect(errors[0].extensions).toMatchObject({ code: 'RESOURCE_EXHAUSTED' });
  expect(errors[0].extensions.retryAfterMs).toBeGreaterThan(3_000_000);
  expect(await call(dev, 'demo.add', { a: 1, b: 2 })).toBe(200);

  await page.getByRole('button', { name: 'Read again' }).click();
  const near = page.getByRole('list', { name: 'Who is near a limit' }).getByRole('listitem');
  const empty = near.filter({ hasText: 'demo.echo' }).filter({ hasText: '0 of 1 left' });
  await empty.getByText(/^next call in \d/).waitFor();
  await checkPage(page, 'limits');

  await overrides(page).filter({ hasText: 'demo.echo' }).getByRole('button', { name: 'Remove' }).click();
  await page.getByRole('button', { name: 'Remove it' }).click();
  await page.getByText('No override is in force').waitFor();
  expect(await call(dev, 'demo.echo', { text: 'x' })).toBe(200);
  checkQuiet(page);
});

test('of two administrators who override one limit, the second is told of the first', async () => {
  const [first, second] = await Promise.all([
    world.signIn('admin', '/console/limits'),
    world.signIn('admin', '/console/limits'),
  ]);
  await fill(first, 'A source', 'crm', '10');
  await form(first).getByLabel('Reason').fill('it is slow');
  await fill(second, 'A source', 'crm', '20');
  await form(second).getByLabel('Reason').fill('it is busy');
  await set(first);
  await overrides(first).filter({ hasText: 'crm' }).getByText('10 a minute').waitFor();

  await set(second);
  await form(second).getByText('Nothing was set: somebody else has changed this limit').waitFor();
  await form(second).getByText('It is now 10 a minute').waitFor();
  expect(await form(second).getByRole('textbox', { name: 'Calls' }).inputValue()).toBe('20');
  expect(await form(second).getByLabel('Reason').inputValue()).toBe('it is busy');
  await checkPage(second, 'limits-conflict');
  await set(second, 'Set mine instead');
  await overrides(second).filter({ hasText: 'crm' }).getByText('20 a minute').waitFor();

  await overrides(first).filter({ hasText: 'crm' }).getByRole('button', { name: 'Remove' }).click();
  await first.getByRole('button', { name: 'Remove it' }).click();
  await first.getByText('It was not removed: somebody else has changed it').waitFor();
  await first.getByRole('button', { name: 'Cancel' }).click();

  // A change of another key is in nobody's way.
  await fill(second, 'A role', 'dev', '500');
  await fill(first, 'A principal', 'https://id.example.com|user|alice', '5');
  await set(second);
  await overrides(second).filter({ hasText: '500 a minute' }).waitFor();
  await set(first);
  await overrides(first).filter({ hasText: '|user|alice' }).getByText('5 a minute').waitFor();
  await overrides(first).filter({ hasText: '500 a minute' }).waitFor();

  await overrides(first).filter({ hasText: 'crm' }).getByRole('button', { name: 'Change' }).click();
  expect(await form(first).getByRole('textbox', { name: 'Calls' }).inputValue()).toBe('20');
  await form(first).getByText('No limit').click();
  await set(first);
  await overrides(first).filter({ hasText: 'crm' }).getByText('no limit').waitFor();
});

test('a key that has used no limit is not found, and the page says how to go on', async () => {
  const page = await world.signIn('admin', '/console/limits?key=nobody');
  await page.getByText('No limit of this key has been used lately').waitFor();
  await page.getByRole('button', { name: 'Show everybody' }).first().click();
  await page.waitForURL((url) => url.search === '');
});

test('where no rates are configured, the page says how to', async () => {
  const bare = await startGateway();
  try {
    const page = await signIn(world.browser, bare, 'admin', '/console/limits');
    await page.getByText('No rate is configured').waitFor();
    await page.getByText('Nobody is near a limit').waitFor();
    await checkPage(page, 'limits-none');
  } finally {
    await bare.stop();
  }
});
