import { mkdirSync } from 'node:fs';
import path from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { expect } from 'vitest';
import type { Gateway } from './gateway';

export type Persona = 'admin' | 'dev' | 'guest';

/** Where pictures of the pages go, for people to look at. */
const pictures = path.resolve(process.env.TRILITH_PICTURES ?? '../../../.build/console-pictures');

/** Starts Debian's Chromium. */
export const startBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });

/**
 * Opens a window of its own and signs in. The window can reach the gateway and nothing else; whatever it asks of
 * another host, a message of its policy (CSP) or an exception fails the test by `checkQuiet`.
 */
export async function signIn(browser: Browser, gateway: Gateway, persona: Persona, to = '/console/'): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  const page = await context.newPage();
  watch(context, page, gateway);
  await page.goto(gateway.url + to);
  await page.getByRole('link', { name: 'Sign in' }).click();
  await page.locator(`button[value="${persona}"]`).click();
  await page.getByRole('navigation', { name: 'Console' }).waitFor();
  return page;
}

const noises = new WeakMap<Page, string[]>();

function watch(context: BrowserContext, page: Page, gateway: Gateway) {
  const noise: string[] = [];
  noises.set(page, noise);
  page.on('pageerror', (e) => noise.push(`exception: ${e.message}`));
  page.on('console', (m) => {
    if (/Content Security Policy|Trusted ?Type/i.test(m.text()) || m.text().includes('Warning:'))
      noise.push(`console: ${m.text()}`);
  });
  void context.route(
    (url) => !url.href.startsWith(gateway.url),
    (route) => {
      noise.push(`asks another host: ${route.request().url()}`);
      return route.abort();
    },
  );
}

/** Fails where the page threw, broke its policy, or asked another host. */
export const checkQuiet = (page: Page) => expect(noises.get(page)).toEqual([]);

/**
 * Holds a page against axe-core and takes pictures of it: light, dark, and 360 pixels wide, where nothing may stick out
 * to the side. The page must have settled.
 */
export async function checkPage(page: Page, name: string) {
  mkdirSync(pictures, { recursive: true });
  const before = page.viewportSize();
  for (const [kind, colorScheme, width] of [
    ['light', 'light', 1280],
    ['dark', 'dark', 1280],
    ['narrow', 'light', 360],
  ] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.setViewportSize({ width, height: 900 });
    await page.screenshot({ path: path.join(pictures, `${name}-${kind}.png`), fullPage: true });
    expect(await violations(page), `${name}, ${kind}`).toEqual([]);
    const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    expect(over, `${name}, ${kind}: pixels that stick out`).toBeLessThanOrEqual(0);
  }
  if (before) await page.setViewportSize(before);
  checkQuiet(page);
}

async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import('axe-core') };
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map((v) => ({
      id: v.id,
      help: v.help,
      at: v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')}: ${n.failureSummary}`),
    }));
  });
  return found.map((v) => `${v.id}: ${v.help}\n  ${v.at.join('\n  ')}`);
}
