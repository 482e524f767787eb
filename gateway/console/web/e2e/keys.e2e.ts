import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPage, checkQuiet, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';
import { call } from './load';

let browser: Browser;
let bare: Gateway;
let gateway: Gateway;
beforeAll(async () => {
  [bare, gateway, browser] = await Promise.all([
    startGateway(),
    startGateway('auth:\n  api_keys: {}\n'),
    startBrowser(),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await Promise.all([bare?.stop(), gateway?.stop()]);
});

test('where no keys are configured, the page says how to', async () => {
  const page = await signIn(browser, bare, 'admin', '/console/keys');
  await page.getByText('This gateway takes no API keys').waitFor();
  await checkPage(page, 'keys-none');
});

test('an administrator makes a key, whose secret is shown once, and revokes it', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/keys');
  await page.getByRole('button', { name: 'Create a key' }).click();
  const window = page.getByRole('dialog');
  await window.getByLabel('Subject').fill('billing');
  await window.getByLabel('Label').fill('billing sync');
  await window.getByLabel('Roles').fill('dev');
  await checkPage(page, 'keys-create');
  await page.route('**/graphql', (route) => route.abort());
  await window.getByRole('button', { name: 'Create' }).click();
  await window.getByText('No key was made').waitFor();
  expect(await window.getByLabel('Label').inputValue()).toBe('billing sync');
  await page.unroute('**/graphql');
  await window.getByRole('button', { name: 'Create' }).click();
  const secret = ((await window.getByLabel('secret', { exact: true }).locator('pre').textContent()) ?? '').trim();
  expect(secret.length).toBeGreaterThan(20);
  expect(await call(gateway, secret, 'demo.add', { a: 1, b: 2 })).toBe(200);
  await window.getByRole('button', { name: 'I have kept it' }).click();
  await window.waitFor({ state: 'detached' });
  expect(await page.content()).not.toContain(secret);

  const row = page.getByRole('list', { name: 'Keys' }).getByRole('listitem').filter({ hasText: 'billing sync' });
  await row.getByText('Good').waitFor();
  await checkPage(page, 'keys');
  await row.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke it' }).click();
  await row.getByText('Revoked', { exact: true }).waitFor();
  await expect.poll(() => call(gateway, secret, 'demo.add', { a: 1, b: 2 }), { timeout: 20_000 }).toBe(401);
  checkQuiet(page);
});
