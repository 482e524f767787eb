import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, test } from 'vitest';
import { checkPage, signIn, startBrowser } from './browser';
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

test('an administrator signs in and sees what happens now', async () => {
  const page = await signIn(browser, gateway, 'admin');
  await page.getByText('Calls per second').waitFor();
  await checkPage(page, 'overview');
});
