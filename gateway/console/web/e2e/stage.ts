import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll } from 'vitest';
import { type Persona, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';

/** A gateway and a browser that the tests of one file share. */
export type Stage = {
  readonly gateway: Gateway;
  readonly browser: Browser;
  /** Signs in with a window of its own. */
  signIn: (persona: Persona, to?: string) => Promise<Page>;
};

/**
 * Has a gateway and a browser from before the first test of a file until after its last one. `config` is what the gateway
 * serves besides the demo, or what makes that; `end` stops what the latter has started.
 */
export function stage(config?: string | (() => Promise<string>), end?: () => Promise<unknown>): Stage {
  let gateway: Gateway | undefined;
  let browser: Browser | undefined;
  beforeAll(async () => {
    const text = typeof config === 'function' ? await config() : config;
    await Promise.all([
      startGateway(text).then((started) => {
        gateway = started;
      }),
      startBrowser().then((started) => {
        browser = started;
      }),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await gateway?.stop();
    await end?.();
  });
  const there = <T>(value: T | undefined): T => {
    if (value === undefined) throw new Error('the stage is set by beforeAll: use it in tests only');
    return value;
  };
  return {
    get gateway() {
      return there(gateway);
    },
    get browser() {
      return there(browser);
    },
    signIn: (persona, to) => signIn(there(browser), there(gateway), persona, to),
  };
}

/** Asks as the page does: with its session, from its origin. With a body it is a POST of JSON. */
export const ask = (page: Page, path: string, body?: object) =>
  page.evaluate(
    async ([path, body]) => {
      const init = body ? { method: 'POST', body, headers: { 'Content-Type': 'application/json' } } : {};
      const answer = await fetch(path as string, init as RequestInit);
      return { status: answer.status, text: await answer.text(), retryAfter: answer.headers.get('Retry-After') };
    },
    [path, body && JSON.stringify(body)],
  );

/** Calls a tool through the REST door, as the person whose page it is, and returns the status. */
export const call = async (page: Page, tool: string, args: object) =>
  (await ask(page, `/v1/tools/${tool}:call`, args)).status;
