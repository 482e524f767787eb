import { execFileSync } from 'node:child_process';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
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

const binary = path.resolve(process.env.TRILITH_GATEWAY ?? '../../../.build/gateway');

/** A token of a persona, as a script gets one. */
const token = (persona: string) =>
  execFileSync(
    binary,
    ['token', '--as', persona, '--addr', new URL(gateway.url).host, '--data', path.join(gateway.dir, 'data')],
    { encoding: 'utf8' },
  ).trim();

/** Asks the GraphQL door as a persona. */
async function ask(persona: string, query: string, variables = {}): Promise<Record<string, never>> {
  const answer = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token(persona)}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json() as Promise<Record<string, never>>;
}

/** Follows a long call of dev; `end` gives all that came until its end. */
async function follow(): Promise<{ end: Promise<string> }> {
  const query = 'subscription { toolCall(name: "demo.count", arguments: {to: 1000, delayMs: 1000}) { dropped } }';
  const answer = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token('dev')}`,
      'Content-Type': 'application/json',
      Accept: 'text/event-stream',
    },
    body: JSON.stringify({ query }),
  });
  expect(answer.status).toBe(200);
  return { end: answer.text() };
}

const editor = (page: Page) => page.getByRole('textbox', { name: 'Rules of the draft' });

async function newDraft(page: Page, why: string): Promise<string> {
  await page.goto(`${gateway.url}/console/policy/drafts`);
  await page.getByRole('button', { name: 'New draft' }).click();
  await page.getByLabel('Why').fill(why);
  await page.getByRole('button', { name: 'Begin' }).click();
  await editor(page).waitFor();
  return page.url();
}

/** Writes at the end of the rules. */
async function write(page: Page, text: string) {
  await editor(page).click();
  await page.keyboard.press('Control+End');
  await page.keyboard.insertText(text);
}

test('an administrator sees the rules in force', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy');
  const rules = page.getByRole('grid', { name: 'Rules' });
  await rules.getByText('tool/demo/echo').waitFor();
  await page.getByLabel('Filter rules').fill('role:dev');
  await page.getByText('3 of 6 rules').waitFor();
  expect(page.url()).toContain('q=role');
  await page.getByLabel('Filter rules').fill('');
  await checkPage(page, 'policy');
  await page.getByRole('link', { name: 'Text' }).click();
  await page.getByRole('textbox', { name: 'The rules in force' }).waitFor();
  await checkPage(page, 'policy-text');
  await page.getByRole('link', { name: 'Roles' }).click();
  await page.getByText('Who has a role by this policy').waitFor();
  await page.context().close();
});

test('a rule is written, looked at, put in force and rolled back', async () => {
  await ask('dev', 'mutation { callTool(name: "demo.count", arguments: {to: 1}) { isError } }');
  const { end } = await follow();
  const page = await signIn(browser, gateway, 'admin', '/console/policy/drafts');

  // One version before, to have something to roll back to.
  await newDraft(page, 'as it was');
  await page.getByRole('button', { name: 'Put in force…' }).click();
  await page.getByText('No rule differs from the version in force.').waitFor();
  await page.getByRole('button', { name: 'Put in force', exact: true }).click();
  await page.getByRole('heading', { name: 'Version 1 of the policy' }).waitFor();

  await newDraft(page, 'no counting for developers');
  await write(page, 'p, role:dev, *, tool/demo/cuont, call, deny\n');
  await page.getByText('nothing in the registry is').first().waitFor();
  await page.getByRole('button', { name: 'Table' }).click();
  await page.getByRole('button', { name: 'Change line 8' }).click();
  await page.getByLabel('Object').fill('tool/demo/count');
  await page.getByRole('dialog').getByRole('button', { name: 'Change', exact: true }).click();
  await page.getByRole('button', { name: 'Text', exact: true }).click();
  await editor(page).getByText('tool/demo/count').waitFor();
  await page.getByText('No problems found.').waitFor();

  await page.getByRole('textbox', { name: 'Checks of the draft' }).fill('role:dev call tool/demo/count allow');
  await page.getByRole('button', { name: 'Run the checks' }).click();
  await page.getByText('1 of 1 check failed.').waitFor();
  await page.getByRole('textbox', { name: 'Checks of the draft' }).fill('role:dev call tool/demo/count deny');
  await page.getByRole('button', { name: 'Run the checks' }).click();
  await page.getByText('The check holds.').waitFor();

  await page.getByRole('button', { name: 'Save and look' }).click();
  const impact = page.getByRole('region', { name: 'Impact' });
  await impact.getByText('Dee Developer').first().waitFor();
  await impact.getByText('denied').first().waitFor();
  await checkPage(page, 'policy-draft');

  await page.getByRole('button', { name: 'Put in force…' }).click();
  await page.getByText('1 rule added, 0 rules removed.').last().waitFor();
  await checkPage(page, 'policy-activate');
  await page.getByRole('button', { name: 'Put in force', exact: true }).click();
  await page.getByRole('heading', { name: 'Version 2 of the policy' }).waitFor();
  expect(await end).toContain('NOT_FOUND');
  await checkPage(page, 'policy-version');

  await page.goto(`${gateway.url}/console/policy/explain?role=dev&object=tool/demo/count`);
  await page.getByText('denied', { exact: true }).waitFor();
  await page.getByText('p, role:dev, *, tool/demo/count, call, deny').first().waitFor();
  await checkPage(page, 'policy-explain');

  await page.goto(`${gateway.url}/console/policy/history`);
  await page.getByText('no counting for developers').waitFor();
  await checkPage(page, 'policy-history');
  await page.goto(`${gateway.url}/console/policy/history/1`);
  await page.getByRole('button', { name: 'Roll back to it…' }).click();
  await page.getByRole('dialog').getByText('p, role:dev, *, tool/demo/count, call, deny').waitFor();
  await page.getByRole('button', { name: 'Roll back', exact: true }).click();
  await page.getByRole('heading', { name: 'Version 3 of the policy' }).waitFor();
  const again = await ask('dev', 'mutation { callTool(name: "demo.count", arguments: {to: 1}) { isError } }');
  expect(again).toEqual({ data: { callTool: { isError: false } } });
  checkQuiet(page);
  await page.context().close();
});
