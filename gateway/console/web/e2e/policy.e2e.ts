import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
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
async function ask(persona: string, query: string, variables = {}): Promise<{ data?: unknown; errors?: unknown }> {
  const answer = await fetch(`${gateway.url}/graphql`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${token(persona)}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ query, variables }),
  });
  return answer.json() as Promise<{ data?: unknown; errors?: unknown }>;
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
  await page.getByRole('button', { name: 'Rules', exact: true }).click();
  await page.getByRole('button', { name: 'Change line 8' }).click();
  await page.getByRole('combobox', { name: 'Object' }).fill('tool/demo/cou');
  await page.getByRole('option', { name: 'tool/demo/count' }).waitFor();
  await checkPage(page, 'policy-rule');
  await page.getByRole('option', { name: 'tool/demo/count' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Change', exact: true }).click();
  await checkPage(page, 'policy-table');
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
  await page.getByRole('textbox', { name: 'Version 1 and version 2' }).waitFor();
  await checkPage(page, 'policy-version');
  await page.getByRole('button', { name: 'Side by side' }).click();
  await page.getByRole('textbox', { name: 'Version 1 and version 2: the first' }).waitFor();
  await checkPage(page, 'policy-version-split'); // It is unified at 360 pixels, and side by side again.
  await page.getByRole('textbox', { name: 'Version 1 and version 2: the first' }).waitFor();
  await page.getByRole('button', { name: 'Unified' }).click();

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

test('two administrators edit one draft, and neither loses anything', async () => {
  const first = await signIn(browser, gateway, 'admin', '/console/policy/drafts');
  const url = await newDraft(first, 'by two');
  const second = await signIn(browser, gateway, 'admin', new URL(url).pathname);
  await editor(second).waitFor();

  await editor(first).click();
  await first.keyboard.press('Control+Home');
  await first.keyboard.insertText('p, group:first, *, tool/demo/echo, call, allow\n');
  await first.getByRole('button', { name: 'Save', exact: true }).click();
  await first.getByText('Everything is saved.').waitFor();

  await write(second, 'p, group:second, *, tool/demo/echo, call, allow\n');
  await second.getByRole('button', { name: 'Save', exact: true }).click();
  await second.getByRole('heading', { name: 'Somebody else has saved this draft' }).waitFor();
  await second.getByText('group:second').waitFor();
  await checkPage(second, 'policy-conflict');

  await second.reload(); // What was typed is kept, and so is the conflict.
  await second.getByRole('heading', { name: 'Somebody else has saved this draft' }).waitFor();
  await second.getByRole('button', { name: 'Merge by hand' }).click();
  const merge = second.getByRole('region', { name: 'Merge of the rules' });
  await merge.getByRole('button', { name: 'Take theirs' }).first().click();
  await merge.getByRole('button', { name: 'Keep mine' }).click();
  await checkPage(second, 'policy-merge');
  await second.getByRole('button', { name: 'Use this merge' }).click();
  await editor(second).getByText('group:first').waitFor();
  await editor(second).getByText('group:second').waitFor();
  await second.getByRole('button', { name: 'Save', exact: true }).click();
  await second.getByText('Everything is saved.').waitFor();

  // The first takes the text of the second, and brings the own one back.
  await write(first, 'p, group:third, *, tool/demo/echo, call, allow\n');
  await first.getByRole('button', { name: 'Save', exact: true }).click();
  await first.getByRole('button', { name: 'Take theirs' }).click();
  await editor(first).getByText('group:second').waitFor();
  await first.getByRole('button', { name: 'Bring it back' }).click();
  await editor(first).getByText('group:third').waitFor();

  // Another version comes into force: the draft must be based on it.
  const made = await ask('admin', 'mutation { createPolicyDraft { id revision } }');
  const draft = (made.data as { createPolicyDraft: object }).createPolicyDraft;
  const put = 'mutation ($id: ID!, $revision: SafeInt!) { activatePolicy(id: $id, revision: $revision) { active } }';
  expect(await ask('admin', put, draft)).toEqual({ data: { activatePolicy: { active: true } } });
  await second.reload();
  await second.getByRole('button', { name: 'Show the differences' }).click();
  await second.getByRole('textbox', { name: /and the draft/ }).waitFor();
  await checkPage(second, 'policy-rebase');
  expect(await second.getByRole('button', { name: 'Put in force…' }).isDisabled()).toBe(true);
  await second.getByRole('button', { name: /^Base the draft on version/ }).click();
  await second.getByRole('button', { name: 'Show the differences' }).waitFor({ state: 'detached' });
  await second.getByRole('button', { name: 'Discard' }).click();
  await second.getByRole('dialog').getByRole('button', { name: 'Discard' }).click();
  await second.getByRole('heading', { name: 'Drafts of the policy' }).waitFor();
  checkQuiet(first);
  await first.context().close();
  await second.context().close();
});

test('a policy that locks administrators out is refused with words', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy/drafts');
  await newDraft(page, 'nobody');
  await editor(page).click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText('p, role:dev, *, tool/demo/*, call, allow\n');
  await page.getByText('would lock administrators out').first().waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Everything is saved.').waitFor();
  await page.getByRole('button', { name: 'Put in force…' }).click();
  const dialog = page.getByRole('dialog');
  const locked = 'no subject is left that may do everything to admin/**';
  await dialog.getByRole('listitem').getByText(locked).waitFor(); // Said before, and again by the refusal.
  await dialog.getByRole('button', { name: 'Put in force', exact: true }).click();
  await dialog.getByRole('alert').getByText(locked).waitFor();
  await checkPage(page, 'policy-lockout');
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await page.context().close();
});

test('roles are given, changed and taken in a table, which is the text', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy/try');
  await editor(page).waitFor();
  const roles = page.getByRole('button', { name: 'Roles', exact: true });
  const text = page.getByRole('button', { name: 'Text', exact: true });
  await roles.click();
  await page.getByText('Nobody holds a role by this policy').waitFor();
  await page.getByRole('button', { name: 'Give a role' }).click();
  const form = page.getByRole('dialog');
  await form.getByRole('combobox', { name: 'Principal' }).fill('group:leads');
  await page.keyboard.press('Tab');
  await form.getByRole('combobox', { name: 'Role' }).pressSequentially('role:ad');
  await page.getByRole('option', { name: 'role:admin' }).waitFor();
  await checkPage(page, 'policy-role');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect.poll(() => form.getByRole('combobox', { name: 'Role' }).inputValue()).toBe('role:admin');
  await form.getByRole('combobox', { name: 'Tenant' }).fill('acme');
  await page.keyboard.press('Escape'); // The suggestions, not the form.
  await form.getByRole('button', { name: 'Give', exact: true }).click();
  const grid = page.getByRole('grid', { name: 'Who holds which role' });
  await grid.getByText('group:leads').waitFor();
  await checkPage(page, 'policy-roles');
  await text.click();
  await editor(page).getByText('g, group:leads, role:admin, acme').waitFor();
  await roles.click();
  await grid.getByRole('button', { name: /^Change line/ }).click();
  await form.getByRole('combobox', { name: 'Principal' }).fill('group:heads');
  await page.keyboard.press('Tab');
  await form.getByRole('button', { name: 'Change', exact: true }).click();
  await grid.getByText('group:heads').waitFor();
  await grid.getByRole('button', { name: /^Remove line/ }).click();
  await page.getByText('Nobody holds a role by this policy').waitFor();
  await text.click();
  expect(await editor(page).textContent()).not.toContain('group:heads');
  await page.context().close();
});

test('the table of rules follows the width of the window', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy');
  const rules = page.getByRole('grid', { name: 'Rules' });
  const row = rules.getByRole('row').filter({ hasText: 'tool/demo/echo' });
  await row.waitFor();
  const where = async (text: string) =>
    (await row.getByText(text, { exact: true }).boundingBox()) ?? { y: 0, height: 0 };
  /** How many lines of text lie between the object and the subject. */
  const apart = async () =>
    Math.round(Math.abs((await where('tool/demo/echo')).y - (await where('role:guest')).y) / 12);
  const fits = () => rules.evaluate((e) => e.scrollWidth - e.clientWidth);
  await expect.poll(apart).toBe(0);
  for (const [width, lines] of [
    [360, true],
    [1280, false],
    [700, true],
    [1600, false],
  ] as const) {
    await page.setViewportSize({ width, height: 900 });
    await expect.poll(async () => (await apart()) > 0, { timeout: 20_000, message: `${width} px` }).toBe(lines);
    await expect.poll(fits, { timeout: 20_000, message: `${width} px: what sticks out` }).toBe(0);
    await expect
      .poll(async () => Math.round((await row.boundingBox())?.height ?? 0) > 50, { timeout: 20_000 })
      .toBe(lines);
  }
  await page.context().close();
});

test('a session that ends while somebody types takes nothing with it', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy/drafts');
  await newDraft(page, 'typing');
  await write(page, '# typed before the session ended\n');
  await page.evaluate(() => fetch('/auth/logout', { method: 'POST' }));
  await write(page, '# typed after it\n');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Your session has ended. What you have typed is still here.').waitFor();
  await editor(page).getByText('# typed after it').waitFor();
  await checkPage(page, 'policy-expired');

  await page.reload();
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.locator('button[value="admin"]').click();
  await page.getByText('What you had typed before the page was loaded again is here').waitFor();
  await editor(page).getByText('# typed before the session ended').waitFor();
  await editor(page).getByText('# typed after it').waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('Everything is saved.').waitFor();
  await page.context().close();
});

test('the editor completes subjects, objects, actions and effects', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/policy/try');
  await editor(page).click();
  await page.keyboard.press('Control+End');
  for (const [typed, option] of [
    ['p, role:gu', 'role:guest'],
    [', *, tool/demo/ad', 'tool/demo/add'],
    [', ca', 'call'],
    [', de', 'deny'],
  ] as const) {
    await page.keyboard.type(typed);
    await page.getByRole('option', { name: option, exact: true }).click();
  }
  await page.getByText('p, role:guest, *, tool/demo/add, call, deny').waitFor();
  await page.getByText('No problems found.').waitFor();
  await page.getByRole('button', { name: 'Look', exact: true }).click();
  await page.getByText('1 rule added, 0 rules removed.').waitFor();
  await checkPage(page, 'policy-try');
  await page.context().close();
});

test.each(['dev', 'guest'] as const)('%s does not see the policy', async (persona) => {
  const page = await signIn(browser, gateway, persona, '/console/policy');
  await page.getByText('There is no such page').waitFor();
  expect(await page.getByRole('link', { name: 'Policy', exact: true }).count()).toBe(0);
  const answer = await ask(persona, '{ admin { policy { csv } policyDrafts { id } } }');
  expect(JSON.stringify(answer)).toContain('PERMISSION_DENIED');
  expect(answer.data).toEqual({ admin: { policy: null, policyDrafts: null } });
  await page.context().close();
});

test('a policy that is a file is shown as such', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'policy-'));
  const file = path.join(dir, 'policy.csv');
  writeFileSync(file, 'p, role:admin, *, **, *, allow\np, role:admin, *, admin/**, *, allow\n');
  const other = await startGateway(`policy: {file: ${JSON.stringify(file)}}\n`);
  try {
    const page = await signIn(browser, other, 'admin', '/console/policy');
    await page.getByText('This version was read from the file').waitFor();
    await checkPage(page, 'policy-file');
    expect(await page.getByRole('button', { name: 'New draft' }).count()).toBe(0);
    await page.getByRole('link', { name: 'Drafts' }).click();
    await page.getByRole('button', { name: 'New draft' }).click();
    await page.getByRole('button', { name: 'Begin' }).click();
    await page.getByRole('dialog').getByText('FAILED_PRECONDITION').waitFor();
    await page.context().close();
  } finally {
    await other.stop();
    rmSync(dir, { recursive: true });
  }
});
