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

test('an administrator sees who is signed in, and ends it', async () => {
  const dev = await signIn(browser, gateway, 'dev');
  const page = await signIn(browser, gateway, 'admin', '/console/sessions');
  const sessions = page.getByRole('list', { name: 'Sessions' });
  await sessions.getByText('This browser').waitFor();
  const theirs = sessions.getByRole('listitem').filter({ hasText: '|user|dev' });
  await theirs.first().waitFor();
  await checkPage(page, 'sessions');

  await page.getByLabel('Principal').fill(`${gateway.url}/dev/issuer|user|nobody`);
  await page.keyboard.press('Enter');
  await page.getByText('Nothing is open').waitFor();
  await page.getByRole('button', { name: 'Show everybody' }).first().click();

  await theirs.filter({ hasText: 'login' }).getByRole('button', { name: 'End' }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await expect.poll(() => theirs.filter({ hasText: 'login' }).count(), { timeout: 20_000 }).toBe(0);
  await dev.reload();
  await dev.getByRole('link', { name: 'Sign in' }).waitFor();
  checkQuiet(page);
});

test('credentials are revoked, and what was typed stays when that is refused', async () => {
  const dev = await signIn(browser, gateway, 'dev');
  const page = await signIn(browser, gateway, 'admin', '/console/sessions');
  await page.getByRole('button', { name: 'Revoke credentials' }).click();
  const form = page.getByRole('dialog');
  await form.getByRole('textbox', { name: 'Principal' }).fill(`${gateway.url}/dev/issuer|user|dev`);
  await form.getByLabel('Reason').fill('lost laptop');
  await checkPage(page, 'sessions-revoke');
  await page.route('**/graphql', (route) => route.abort());
  await form.getByRole('button', { name: 'Revoke' }).click();
  await form.getByText('Nothing was revoked').waitFor();
  expect(await form.getByLabel('Reason').inputValue()).toBe('lost laptop');
  await page.unroute('**/graphql');
  await form.getByRole('button', { name: 'Revoke' }).click();
  await form.getByText(/Revoked on every node/).waitFor();
  await dev.reload();
  await dev.getByRole('link', { name: 'Sign in' }).waitFor();
});
