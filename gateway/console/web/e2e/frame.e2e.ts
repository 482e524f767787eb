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

test('a gateway that starts again takes nothing of what is typed, nor the session', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy/drafts');
  await page.getByRole('button', { name: 'New draft' }).click();
  await page.getByLabel('Why').fill('typed before');
  await page.getByRole('button', { name: 'Begin' }).click();
  const editor = page.getByRole('textbox', { name: 'Rules of the draft' });
  await editor.click();
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText('\np, role:dev, *, tool/demo/count, call, deny');

  const lost = page.getByText('The connection to the gateway is lost');
  const seen = lost.waitFor();
  await gateway.restart();
  await seen;
  await lost.waitFor({ state: 'hidden' });
  expect(await editor.textContent()).toContain('tool/demo/count');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Everything is saved').waitFor();
  checkQuiet(page);
});

test('a session that is ended elsewhere is said to have ended, and goes on after signing in again', async () => {
  const page = await signIn(browser, gateway, 'admin');
  const list = '{"query":"{ viewer { session } }"}';
  const ended = await page.evaluate(async (body) => {
    const ask = (body: string) =>
      fetch('/graphql', { method: 'POST', body, headers: { 'Content-Type': 'application/json' } }).then((r) =>
        r.json(),
      );
    const { data } = await ask(body);
    return ask(
      JSON.stringify({ query: 'mutation($id: ID!) { endSession(id: $id) }', variables: { id: data.viewer.session } }),
    );
  }, list);
  // The call and its session end at once: its answer is its result, or that the session is over.
  expect(ended.errors?.[0].extensions.code ?? 'UNAUTHENTICATED').toBe('UNAUTHENTICATED');
  await page.getByText('Your session has ended. What you have typed').waitFor();

  const [other] = await Promise.all([
    page.context().waitForEvent('page'),
    page.getByRole('link', { name: 'Sign in again' }).click(),
  ]);
  await other.locator('button[value="admin"]').click();
  await other.getByRole('navigation', { name: 'Console' }).waitFor();
  await other.close();
  await page.bringToFront();
  await page.evaluate(() => window.dispatchEvent(new Event('focus'))); // A browser without a screen never loses it.
  const ends = () => page.getByText('Your session has ended').count(); // Said by the frame, or by a part that was asking.
  await expect.poll(ends, { timeout: 20_000 }).toBe(0);
});

test('a session that ends while the live connection is away is said to have ended', async () => {
  const page = await signIn(browser, gateway, 'admin');
  await page.context().routeWebSocket(/graphql/, (ws) => ws.close({ code: 1013 }));
  await page.reload();
  await page.getByText('The connection to the gateway is lost').waitFor();
  await page.context().clearCookies();
  await page.getByText('Your session has ended. What you have typed').waitFor();
  await page.context().close();
});

test('what was refused while the session was over is asked again after signing in', async () => {
  const page = await signIn(browser, gateway, 'admin');
  const cookies = await page.context().cookies();
  await page.context().clearCookies();
  await page.getByRole('link', { name: 'Policy', exact: true }).click();
  await page.getByText('Your session has ended. What you have typed').waitFor();
  await page.context().addCookies(cookies); // As another tab does that signs in.
  await page.evaluate(() => window.dispatchEvent(new Event('focus')));
  await page.getByRole('grid', { name: 'Rules' }).getByText('tool/demo/echo').waitFor();
  await expect.poll(() => page.getByText('Your session has ended').count(), { timeout: 20_000 }).toBe(0);
  await page.context().close();
});

test('by keyboard alone: past the menu, to another area, and the page has the focus', async () => {
  const page = await signIn(browser, gateway, 'admin');
  await page.keyboard.press('Tab');
  const skip = page.getByRole('link', { name: 'Skip to the content' });
  expect(await skip.evaluate((e) => e === document.activeElement)).toBe(true);
  await page.getByRole('link', { name: 'Policy', exact: true }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Policy' }).waitFor();
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main');
  expect(await page.title()).toBe('Policy · Trilith');
});

test('the first view, measured', async () => {
  const page = await signIn(browser, gateway, 'admin');
  const cold = await browser.newContext({ storageState: await page.context().storageState() });
  const times: number[] = [];
  let bytes = 0;
  for (let i = 0; i < 5; i++) {
    const view = await cold.newPage();
    const session = await cold.newCDPSession(view);
    await session.send('Network.enable');
    await session.send('Network.setCacheDisabled', { cacheDisabled: true });
    bytes = 0;
    session.on('Network.loadingFinished', (e) => {
      bytes += e.encodedDataLength;
    });
    const start = performance.now();
    await view.goto(`${gateway.url}/console/`);
    await view.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
    times.push(performance.now() - start);
    await view.close();
  }
  const median = times.sort((a, b) => a - b)[2] ?? 0;
  console.log(`first view, nothing cached: ${median.toFixed(0)} ms, ${(bytes / 1000).toFixed(0)} KB over the wire`);
  expect(bytes).toBeLessThan(250_000);
});
