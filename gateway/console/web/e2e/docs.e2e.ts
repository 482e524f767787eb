import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkQuiet, signIn, startBrowser } from './browser';
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

test('the address of the gateway leads a browser to the console', async () => {
  const page = await signIn(browser, gateway, 'dev', '/');
  expect(page.url()).toBe(`${gateway.url}/console/`);
  checkQuiet(page);
});

test('a developer reads the API reference, and calls from it', async () => {
  const page = await signIn(browser, gateway, 'dev');
  await page.getByRole('link', { name: 'API reference' }).click();
  await page.locator('.opblock-post', { hasText: '/v1/call/demo.add' }).locator('button').first().click();
  await page.getByRole('button', { name: 'Try it out' }).click();
  await page.locator('textarea').fill('{"a": 20, "b": 22}');
  await page.getByRole('button', { name: 'Execute' }).click();
  await page.locator('.live-responses-table').getByText('42').first().waitFor();
  checkQuiet(page);
});

test('a guest reads of what they may call, and of nothing else', async () => {
  const page = await signIn(browser, gateway, 'guest');
  await page.goto(`${gateway.url}/docs/`);
  await page.getByText('/v1/call/demo.echo').first().waitFor();
  expect(await page.getByText('/v1/call/demo.add').count(), 'a tool that their policy denies').toBe(0);
});

test('the reference asks who is not signed in to sign in, and comes back', async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${gateway.url}/docs/?api=admin`);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.locator('button[value="admin"]').click();
  await page.getByText('/admin/v1/policy', { exact: true }).first().waitFor();
  expect(new URL(page.url()).search).toBe('?api=admin');
});

test('GraphiQL asks with the session of the console', async () => {
  const page = await signIn(browser, gateway, 'dev');
  await page.getByRole('link', { name: 'GraphiQL' }).click();
  await page.getByRole('button', { name: /execute/i }).click();
  await page.getByText('Dee Developer').waitFor();
  expect(await page.getByText('demo.add').count()).toBeGreaterThan(0);
});
