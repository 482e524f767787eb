import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPage, checkQuiet, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';

let gateway: Gateway;
let browser: Browser;
beforeAll(async () => {
  [gateway, browser] = await Promise.all([startGateway(), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

/** Calls a tool through the REST door, as the person whose page it is. */
const call = (page: Awaited<ReturnType<typeof signIn>>, tool: string, args: object) =>
  page.evaluate(
    async ([name, body]) => {
      const answer = await fetch(`/v1/tools/${name}:call`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: body as string,
      });
      return answer.status;
    },
    [tool, JSON.stringify(args)] as const,
  );

test('an administrator sees an idle gateway, then calls and who was refused', async () => {
  const admin = await signIn(browser, gateway, 'admin');
  await admin.getByText('No calls yet').waitFor();
  await admin.getByRole('region', { name: 'Sources' }).getByRole('link', { name: 'demo' }).waitFor();
  await admin.getByText('Nobody was refused anything').waitFor();
  await checkPage(admin, 'overview-idle');

  const guest = await signIn(browser, gateway, 'guest');
  for (let i = 0; i < 40; i++) expect(await call(admin, 'demo.echo', { text: `hello ${i}` })).toBe(200);
  expect(await call(guest, 'demo.add', { a: 1, b: 2 })).not.toBe(200);
  const lines = admin.getByRole('img', { name: /^Calls per second, last five minutes.*rest: now/ });
  await lines.waitFor();
  await admin.locator('canvas').nth(3).waitFor();
  const doors = admin.getByRole('region', { name: 'The last minute by door' });
  await doors.getByRole('row', { name: /^rest/ }).waitFor();
  await admin.getByText('Calls per second as a table').click();
  await admin.getByRole('region', { name: 'Calls per second as a table' }).getByRole('cell').first().waitFor();
  await checkPage(admin, 'overview');

  await admin.getByRole('button', { name: /Lines/ }).click();
  await admin.getByRole('option', { name: 'by source' }).click();
  await admin.waitForURL(/by=source/);
  await admin.getByRole('img', { name: /^Calls per second.*demo: now/ }).waitFor();
  checkQuiet(guest);
});

test('a refusal is shown as it happens, with the way to its record', async () => {
  const admin = await signIn(browser, gateway, 'admin');
  const refusals = admin.getByRole('region', { name: 'Recent refusals' });
  const guest = await signIn(browser, gateway, 'guest');
  await guest.goto(`${gateway.url}/console/`);
  const answer = await guest.evaluate(async () => {
    const asked = await fetch('/graphql', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: '{ admin { policy { id } } }' }),
    });
    return asked.text();
  });
  expect(answer).toContain('errors');
  const record = refusals.getByRole('listitem').filter({ hasText: 'admin/policy' }).first();
  await record.waitFor();
  expect(await record.getByRole('link').getAttribute('href')).toMatch(/^\/console\/audit\?id=\w+$/);
});

test('a guest sees what they may use and how to connect, and nothing of the traffic', async () => {
  const page = await signIn(browser, gateway, 'guest');
  await page.getByRole('link', { name: /^1\s*tools$/ }).waitFor();
  await page.getByText(`${gateway.url}/mcp`, { exact: true }).waitFor();
  await page.getByRole('button', { name: 'Copy the address for gRPC' }).waitFor();
  for (const name of ['Recent refusals', 'Sources', 'The last minute', 'The last five minutes']) {
    expect(await page.getByRole('region', { name, exact: true }).count(), name).toBe(0);
  }
  await checkPage(page, 'overview-guest');
});
