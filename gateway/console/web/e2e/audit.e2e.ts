import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { checkPage, checkQuiet, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';
import { call, load, run, tokenOf } from './load';

let gateway: Gateway;
let browser: Browser;
let dev: string;
let guest: string;
beforeAll(async () => {
  [gateway, browser] = await Promise.all([startGateway(), startBrowser()]);
  dev = tokenOf(gateway, 'dev');
  guest = tokenOf(gateway, 'guest');
  for (let i = 0; i < 130; i++) expect(await call(gateway, dev, 'demo.add', { a: 1, b: i })).toBe(200);
  expect(await call(gateway, guest, 'demo.add', { a: 1, b: 2 })).not.toBe(200);
  expect(await call(gateway, dev, 'demo.add', { a: 'no number' })).toBe(400);
});
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
});

const records = (page: Page) => page.getByRole('table', { name: 'Records' });

test('an administrator finds a refused call, reads why, and proves that it stands in the log', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/audit');
  await records(page).getByRole('row').nth(10).waitFor();
  await checkPage(page, 'audit');

  await page.getByLabel('Who').fill('*|guest');
  await page.waitForURL(/principal=/);
  await records(page).getByText('Gus Guest').first().waitFor();
  await page.goto(`${gateway.url}/console/audit?principal=*|guest&object=*add*&type=call`);
  const refused = records(page).getByRole('link');
  await expect.poll(() => refused.count(), { timeout: 20_000 }).toBe(1);
  await refused.click();
  const record = page.getByRole('dialog');
  await record.getByText(/called .*add through REST/).waitFor();
  await expect.poll(() => page.url()).toMatch(/\/console\/audit\/\d+\?/);

  // The first checkpoint that covers it may be a second away; asking again takes back what was shown.
  const verified = record.getByText(/Verified by your browser/);
  await expect
    .poll(
      async () => {
        if (await verified.isVisible()) return true;
        const ask = record.getByRole('button', { name: 'Prove that it stands in the log' });
        if (await ask.isVisible()) await ask.click();
        return false;
      },
      { timeout: 30_000, interval: 500 },
    )
    .toBe(true);
  await record.getByText('Signature not checked').waitFor();
  const key = run('audit', 'key', '--data', path.join(gateway.dir, 'data'));
  await record.getByLabel('Public key of the log').fill(key);
  await record.getByRole('button', { name: 'Check the signature' }).click();
  await record.getByText('The checkpoint is signed with this key.').waitFor();
  await checkPage(page, 'audit-record');

  await page.keyboard.press('Escape');
  await record.waitFor({ state: 'detached' });
  expect(page.url()).toContain('/console/audit?principal=');
  checkQuiet(page);
});

test('what is not there is said, and the log is verified', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/audit?object=nothing/*');
  await page.getByText('No record matches').waitFor();
  await checkPage(page, 'audit-empty');
  await page.getByRole('button', { name: 'Verify now' }).click();
  await page.getByText(/records are as they were written/).waitFor();
  await page.keyboard.press('Escape');
  await page.goto(`${gateway.url}/console/audit/99999999`);
  await page.getByText('There is no such record').waitFor();
  checkQuiet(page);
});

test('the keyboard goes from record to record, and the list grows as it does', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/audit?object=tool/demo/add');
  await records(page).getByRole('link').first().focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('End');
  await page.getByText('These are all.').waitFor();
  await expect
    .poll(
      async () => {
        await page.keyboard.press('End');
        return Number(await records(page).getAttribute('aria-rowcount'));
      },
      { timeout: 30_000 },
    )
    .toBeGreaterThan(130);
  expect(await records(page).getByRole('row').count()).toBeLessThan(100); // Only what is seen is in the page.
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
});

test('what the filter matches is exported', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/audit?object=tool/demo/add&principal=*|dev');
  await records(page).waitFor();
  const save = async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('button', { name: 'Write the file' }).click(),
    ]);
    return readFileSync(await download.path(), 'utf8');
  };
  await page.getByRole('button', { name: 'Export' }).click();
  const lines = (await save()).trimEnd().split('\n');
  expect(lines).toHaveLength(131);
  expect(lines.map((line) => JSON.parse(line).object)).toEqual(Array(131).fill('tool/demo/add'));
  await page.getByRole('button', { name: /Format/ }).click();
  await page.getByRole('option', { name: /CSV/ }).click();
  const csv = (await save()).trimEnd().split('\r\n');
  expect(csv[0]).toMatch(/^seq,time,type/);
  expect(csv).toHaveLength(132);
  await page.getByText('131 records were written.').waitFor();
  await checkPage(page, 'audit-export');
});

test('the tail follows a thousand calls a second', async () => {
  const page = await signIn(browser, gateway, 'admin', '/console/audit?live=1&principal=*|dev');
  await page.getByText('Waiting for the next record').waitFor();
  const tail = page.getByRole('table', { name: 'Records as they are written' });
  const measure = () =>
    page.evaluate(async () => {
      const heap = () => (performance as unknown as { memory: { usedJSHeapSize: number } }).memory.usedJSHeapSize / 1e6;
      const began = performance.now();
      let frames = 0;
      while (performance.now() - began < 4_000) {
        await new Promise(requestAnimationFrame);
        frames++;
      }
      return {
        framesPerSecond: Math.round((frames * 1_000) / (performance.now() - began)),
        heapMB: Math.round(heap()),
      };
    });
  const total = async () =>
    Number(
      /^[\d.,]+/.exec((await page.getByText(/records since you look/).textContent()) ?? '')?.[0].replace(/\D/g, '') ??
        0,
    );

  let over = false;
  const calls = load(gateway, dev, 1_000, () => over);
  onTestFinished(async () => {
    over = true;
    await calls;
  });
  await tail.getByRole('link').first().waitFor();
  const began = performance.now();
  const before = await total();
  const measured = [];
  for (let i = 0; i < 4; i++) measured.push(await measure());
  const rate = Math.round(((await total()) - before) / ((performance.now() - began) / 1_000));
  await checkPage(page, 'audit-live');
  await page.getByRole('button', { name: 'Pause' }).click();
  const first = await tail.getByRole('link').first().textContent();
  const paused = await total();
  await expect.poll(total, { timeout: 20_000 }).toBeGreaterThan(paused);
  expect(await tail.getByRole('link').first().textContent()).toBe(first);
  await page.getByRole('button', { name: 'Resume' }).click();
  await expect.poll(() => tail.getByRole('link').first().textContent(), { timeout: 20_000 }).not.toBe(first);
  over = true;
  const made = await calls;
  // What a slow machine leaves out is counted: every call was told, or is among those.
  const left = async () =>
    Number(
      (await page.getByText(/left out:/).allTextContents()).map((text) =>
        text.split(' left')[0]?.replace(/\D/g, ''),
      )[0] ?? 0,
    );
  await expect.poll(async () => (await total()) + (await left()), { timeout: 60_000 }).toBe(made);
  const dropped = await left();
  console.log('live tail', JSON.stringify({ recordsPerSecond: rate, made, dropped, measured }));

  expect(Number(await tail.getAttribute('aria-rowcount'))).toBeLessThanOrEqual(2_001);
  expect(await tail.getByRole('row').count()).toBeLessThan(100);
  checkQuiet(page);
});
