import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { serveAsking } from './asking';
import { checkPage, checkQuiet, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';
import type { Upstream } from './upstream';

let upstream: Upstream;
let gateway: Gateway;
let browser: Browser;
let page: Page;
beforeAll(async () => {
  const form = {
    message: 'What may it be?',
    requestedSchema: {
      type: 'object',
      required: ['tea', 'extras'],
      properties: {
        tea: {
          type: 'string',
          title: 'Tea',
          oneOf: [
            { const: 'G', title: 'Green' },
            { const: 'B', title: 'Black' },
          ],
        },
        extras: { type: 'array', title: 'Extras', minItems: 1, items: { type: 'string', enum: ['milk', 'sugar'] } },
      },
    },
  };
  upstream = await serveAsking({
    visit: () => ({ mode: 'url', message: 'Agree to the terms first.', url: `${gateway.url}/livez?for=you` }),
    script: () => ({ mode: 'url', message: 'Look at this.', url: 'javascript:window.pwned=1' }),
    form: () => form,
  });
  const config = `
sources:
  - name: asks
    mcp: {url: "${upstream.url}", era: modern, allow_private: [127.0.0.0/8]}
toolsets:
  - {name: counting, description: To count with, tools: [demo.add, demo.count]}
`;
  [gateway, browser] = await Promise.all([startGateway(config), startBrowser()]);
  page = await signIn(browser, gateway, 'admin', '/console/capabilities?source=asks');
  await page.getByRole('row', { name: 'asks.visit' }).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  await upstream?.stop();
});

const call = async (tool: string) => {
  await page.goto(`${gateway.url}/console/capabilities/tool/asks.${tool}`);
  await page.getByRole('button', { name: 'Call', exact: true }).click();
};
const question = () => page.getByRole('group', { name: 'asks asks' });
const result = () => page.getByRole('region', { name: 'Result', exact: true });

test('a tool sends the reader to a page, which opens beside the console and only when the reader says so', async () => {
  await call('visit');
  await question().getByText('Agree to the terms first.').waitFor();
  await question().getByText(`${gateway.url}/livez?for=you`, { exact: true }).waitFor();
  expect(page.context().pages().length).toBe(1);
  await checkPage(page, 'capabilities-visit');
  const opened = page.context().waitForEvent('page');
  await question()
    .getByRole('button', { name: /^Open 127\.0\.0\.1:\d+ in a new tab$/ })
    .click();
  const beside = await opened;
  await beside.waitForURL(`${gateway.url}/livez?for=you`);
  expect(await beside.evaluate(() => window.opener)).toBeNull();
  await beside.close();
  await result().getByText('{"q":{"action":"accept"}}').waitFor();

  await call('visit');
  await question().getByRole('button', { name: 'Decline' }).click();
  await result().getByText('{"q":{"action":"decline"}}').waitFor();
  await call('script'); // It is no page of the web, so that nobody is sent there.
  await page.getByRole('alert').getByText('in a way that is not valid').waitFor();
  expect(await page.evaluate(() => (globalThis as { pwned?: number }).pwned)).toBeUndefined();
  checkQuiet(page);
});

test('constants with titles are one choice, and several of a few are ticked', async () => {
  await call('form');
  await question().getByRole('button', { name: /Tea/ }).click();
  expect(await page.getByRole('option').allTextContents()).toEqual(['Not given', 'Green', 'Black']);
  await page.getByRole('option', { name: 'Black' }).click();
  const extras = question().getByRole('group', { name: 'Extras' });
  expect(await question().getByRole('checkbox').count()).toBe(2);
  await question().getByRole('button', { name: 'Answer' }).click();
  await extras.getByText(/item/).last().waitFor(); // At least one, says the gateway.
  await extras.getByText('sugar').click();
  await extras.getByText('milk').click();
  await checkPage(page, 'capabilities-choices');
  await question().getByRole('button', { name: 'Answer' }).click();
  const said = result().getByText('"action":"accept"');
  expect(JSON.parse((await said.textContent()) ?? '')).toEqual({
    q: { action: 'accept', content: { tea: 'B', extras: ['milk', 'sugar'] } },
  });
  checkQuiet(page);
});

test('templates and prompts are filled in with what the source suggests', async () => {
  const suggested = async (wanted: string[]) => {
    const all = page.locator('datalist option');
    await expect.poll(() => all.evaluateAll((o) => o.map((e) => (e as HTMLOptionElement).value))).toEqual(wanted);
  };
  await page.goto(`${gateway.url}/console/capabilities/template/${encodeURIComponent('weather://{city}')}`);
  const city = page.getByRole('combobox', { name: 'city' });
  await city.fill('p');
  await suggested(['paris', 'parma', 'prague']);
  await city.fill('pra');
  await suggested(['prague']);
  await city.fill('prague');
  await checkPage(page, 'capabilities-template');
  await page.getByRole('link', { name: 'Open this resource' }).click();
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await page.getByText('sunny').waitFor();

  await page.goto(`${gateway.url}/console/capabilities/prompt/asks.visit`);
  await page.getByRole('combobox', { name: 'city' }).fill('par');
  await suggested(['paris', 'parma']);
  await page.getByRole('combobox', { name: 'city' }).fill('parma');
  await page.getByRole('button', { name: 'Get the messages' }).click();
  await page.getByText('Let us see parma.').waitFor();
  await checkPage(page, 'capabilities-prompt');
  checkQuiet(page);
});

test('a toolset narrows the list, and stands in the URL', async () => {
  await page.goto(`${gateway.url}/console/capabilities`);
  await page.getByRole('row', { name: 'demo.echo' }).waitFor();
  await page.getByRole('button', { name: /Toolset/ }).click();
  await page.getByRole('option', { name: 'counting' }).click();
  await page.getByRole('row', { name: 'demo.echo' }).waitFor({ state: 'detached' });
  const names = () => page.getByRole('row').evaluateAll((all) => all.map((r) => r.getAttribute('aria-label')));
  await expect.poll(names).toEqual(['demo.add', 'demo.count']);
  expect(page.url()).toContain('toolset=counting');
  await page.getByRole('link', { name: 'Tools 2' }).waitFor();
  await checkPage(page, 'capabilities-toolset');
  await page.reload();
  await expect.poll(names).toEqual(['demo.add', 'demo.count']);
  checkQuiet(page);
});
