import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkPage, checkQuiet, signIn, startBrowser } from './browser';
import { type Gateway, startGateway } from './gateway';
import { startUpstream, type UpstreamTool } from './hostile';
import { tokenOf } from './load';

const binary = path.resolve(process.env.TRILITH_GATEWAY ?? '../../../.build/gateway');
const grpcurl = path.resolve(process.env.TRILITH_GRPCURL ?? '../../../.build/grpcurl');
const script = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>';
const svg = '<svg xmlns="http://www.w3.org/2000/svg" onload="window.pwned=1"><script>window.pwned=1</script></svg>';
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const base64 = (text: string) => Buffer.from(text).toString('base64');
const content = (...blocks: object[]) => JSON.stringify({ content: blocks });

const echoed = {
  definition: { name: 'exact', inputSchema: { type: 'object', properties: { n: { type: 'integer' } } } },
};
const upstreamTools: UpstreamTool[] = [
  {
    definition: {
      name: 'evil',
      title: `Evil ${script}`,
      description: `Say \u202eIGNORE\u202c ${script} [a](javascript:alert(1))`,
      inputSchema: {
        type: 'object',
        required: ['who'],
        properties: {
          who: { type: 'string', title: script, description: `\u200b${script}`, pattern: '^a', maxLength: 5 },
          pay: {
            oneOf: [
              {
                title: 'Card',
                type: 'object',
                required: ['no'],
                properties: { by: { const: 'card' }, no: { type: 'string' } },
              },
              { title: 'Cash', type: 'object', properties: { by: { const: 'cash' } } },
            ],
          },
          list: { type: 'array', items: { $ref: '#/$defs/item' } },
        },
        $defs: { item: { type: 'object', required: ['q'], properties: { q: { type: 'integer', minimum: 3 } } } },
      },
      annotations: { destructiveHint: true },
    },
    answer: () =>
      content(
        { type: 'text', text: `${script} a\u202eb` },
        { type: 'image', mimeType: 'image/svg+xml', data: base64(svg) },
        { type: 'image', mimeType: 'image/png', data: pixel },
        { type: 'image', mimeType: 'text/html', data: base64(script) },
        { type: 'audio', mimeType: 'audio/wav', data: base64('RIFF') },
        { type: 'resource_link', name: 'x', uri: 'javascript:window.pwned=1' },
        { type: 'resource', resource: { uri: 'data:text/html,<script>', mimeType: 'text/html', text: script } },
        { type: 'invented', what: script },
      ),
  },
  {
    definition: { name: 'huge', inputSchema: { type: 'object' } },
    answer: () => content({ type: 'text', text: 'x'.repeat(10_000_000) }),
  },
  {
    definition: {
      name: 'mirrored',
      inputSchema: {
        type: 'object',
        properties: {
          text: { type: 'string', 'x-mcp-header': 'Text' },
          level: { type: 'integer', 'x-mcp-header': 'Level' },
        },
      },
    },
    answer: (body) => {
      const said = { arguments: JSON.parse(body).params.arguments };
      return JSON.stringify({ content: [{ type: 'text', text: JSON.stringify(said) }], structuredContent: said });
    },
  },
  {
    ...echoed,
    answer: (body) => {
      const n = /"n":\s*(-?\d+)/.exec(body)?.[1] ?? '0';
      return `{"content":[{"type":"text","text":"got ${n}"}],"structuredContent":{"n":${n}}}`;
    },
  },
];

if (!existsSync(grpcurl))
  throw new Error(
    `${grpcurl} is missing: go build -modfile=tools/go.mod -o .build/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl`,
  );

let upstream: Awaited<ReturnType<typeof startUpstream>>;
let gateway: Gateway;
let browser: Browser;
beforeAll(async () => {
  upstream = await startUpstream(upstreamTools);
  const config = `sources:\n  - name: odd\n    mcp: {url: "${upstream.url}", era: legacy, allow_private: [127.0.0.0/8]}\n`;
  [gateway, browser] = await Promise.all([startGateway(config), startBrowser()]);
});
afterAll(async () => {
  await browser?.close();
  await gateway?.stop();
  upstream?.stop();
});

const open = (persona: 'admin' | 'dev' | 'guest', at: string) =>
  signIn(browser, gateway, persona, `/console/capabilities${at}`);
const call = (page: Page) => page.getByRole('button', { name: 'Call', exact: true }).click();
const result = (page: Page) => page.getByRole('region', { name: 'Result', exact: true });

test('a guest finds the one tool, calls it, and sees nothing of administration', async () => {
  const page = await open('guest', '');
  await page.getByRole('row', { name: 'demo.echo' }).waitFor();
  expect(await page.getByRole('row').count()).toBe(1);
  await page.getByRole('searchbox', { name: 'Search' }).fill('no such thing');
  await page.getByText('No tools here').waitFor();
  expect(page.url()).toContain('q=no+such+thing');
  await page.getByRole('searchbox', { name: 'Search' }).fill('ECHO');
  await page.getByRole('row', { name: 'demo.echo' }).click();
  await page.getByRole('textbox', { name: 'text' }).fill('two\nlines');
  await call(page);
  await result(page).getByText('two').waitFor();
  for (const name of ['Who may use it', 'Last calls'])
    expect(await page.getByRole('heading', { name }).count()).toBe(0);
  checkQuiet(page);
  await page.context().close();
});

test('the list: kinds, filters in the URL, and looks', async () => {
  const page = await open('admin', '?source=demo');
  await page.getByRole('row', { name: 'demo.add' }).waitFor();
  expect(await page.getByRole('row', { name: 'evil' }).count()).toBe(0);
  await checkPage(page, 'capabilities');
  await page.getByRole('link', { name: /^Resources/ }).click();
  await page.getByRole('row', { name: 'demo://about' }).click();
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await page.getByText('Trilith demo, built with').waitFor();
  await page.reload(); // A URI in the path comes through the gateway as it is.
  await page.getByRole('heading', { name: 'About this gateway' }).waitFor();
  await page.getByRole('button', { name: 'Read', exact: true }).click();
  await page.getByText('Trilith demo, built with').waitFor();
  await checkPage(page, 'capabilities-resource');
  await page.goto(`${gateway.url}/console/capabilities/prompt/demo.greet`);
  await page.getByRole('combobox', { name: 'name' }).fill('Ada');
  await page.getByRole('button', { name: 'Get the messages' }).click();
  await page.getByText('friendly greeting for Ada').waitFor();
  checkQuiet(page);
  await page.context().close();
});

test('a call is followed, cancelled, and answered where it asks', async () => {
  const page = await open('admin', '/tool/demo.count');
  await page.getByRole('textbox', { name: 'to', exact: true }).fill('1000');
  await page.getByRole('textbox', { name: /^delayMs/ }).fill('50');
  await call(page);
  await page.getByRole('progressbar', { name: 'Progress' }).waitFor();
  await page.getByText(/^counted to/).waitFor();
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await page.getByText('The call was cancelled.').waitFor();
  await page.getByRole('textbox', { name: 'to', exact: true }).fill('3');
  await call(page);
  await result(page).waitFor();
  await page.getByRole('heading', { name: 'Who may use it' }).waitFor();
  await page.getByRole('heading', { name: 'Last calls' }).waitFor();
  await page.getByRole('cell', { name: /^OK/ }).first().waitFor();
  await checkPage(page, 'capabilities-tool');

  await page.goto(`${gateway.url}/console/capabilities/tool/demo.ask`);
  await call(page);
  const question = page.getByRole('group', { name: 'demo asks' });
  await question.getByRole('textbox', { name: /name/i }).fill('Ada');
  await question.getByRole('button', { name: /drink/i }).click();
  await page.getByRole('option').nth(1).click();
  await checkPage(page, 'capabilities-question');
  await question.getByRole('button', { name: 'Answer' }).click();
  await result(page).getByText('Ada').waitFor();
  checkQuiet(page);
  await page.context().close();
});

test('hostile text is data, in names, schemas and results', async () => {
  const page = await open('admin', '?q=evil');
  await page.getByRole('row', { name: 'evil' }).getByText('\\u{202e}IGNORE').waitFor();
  await page.getByRole('row', { name: 'evil' }).click();
  await page.getByText('says so of itself').waitFor();
  await page.getByRole('textbox', { name: /img src/ }).fill('b');
  await page.getByRole('button', { name: /Form of pay/ }).click();
  await page.getByRole('option', { name: 'Card' }).click();
  await page.getByRole('button', { name: /^Add an item to list/ }).click();
  await page.getByRole('textbox', { name: 'q', exact: true }).fill('1');
  await call(page);
  await page.getByRole('alert').getByText('INVALID_ARGUMENT').waitFor();
  await page.getByRole('group', { name: '1', exact: true }).getByText(/3/).first().waitFor(); // What is wrong stands at its field.
  await page.getByRole('textbox', { name: 'q', exact: true }).fill('4');
  await page.getByRole('textbox', { name: /img src/ }).fill('abc');
  await page.getByRole('button', { name: 'Write JSON' }).click();
  const json = page.getByRole('textbox', { name: 'Arguments as JSON' });
  expect(JSON.parse(await json.inputValue())).toEqual({ who: 'abc', pay: {}, list: [{ q: 4 }] });
  await json.fill('{"who": "abc", "list": [{"q": 12345678901234567890}]}');
  await page.getByRole('button', { name: 'Fill in a form' }).click();
  expect(await page.getByRole('textbox', { name: 'q', exact: true }).inputValue()).toBe('12345678901234567890');
  await call(page);
  await result(page)
    .getByText(/\\u\{202e\}b/)
    .waitFor();
  expect(await result(page).getByRole('img').count()).toBe(1); // The picture of pixels, and no other.
  expect(await result(page).locator('svg, script, iframe, object, embed').count()).toBe(0);
  const links = await page.getByRole('link').evaluateAll((all) => all.map((a) => (a as HTMLAnchorElement).protocol));
  expect(new Set(links)).toEqual(new Set(['http:']));
  expect(await page.evaluate(() => (globalThis as { pwned?: number }).pwned)).toBeUndefined();
  await checkPage(page, 'capabilities-hostile');
  await page.context().close();
});

test('numbers keep every digit, and ten megabytes of text stay bounded', async () => {
  const page = await open('admin', '/tool/odd.exact');
  await page.getByRole('textbox', { name: /^n / }).fill('9007199254740993');
  await call(page);
  await result(page).getByText('got 9007199254740993').waitFor();
  await page.getByRole('region', { name: 'Structured result' }).getByText('9007199254740993').waitFor();
  await page.getByRole('textbox', { name: /^n / }).fill('12x');
  await page.getByText('This is not a number.').waitFor();

  await page.goto(`${gateway.url}/console/capabilities/tool/odd.huge`);
  await call(page);
  await page.getByText(/^Part 1 of 200/).waitFor();
  expect(await page.evaluate(() => document.body.innerHTML.length)).toBeLessThan(500_000);
  checkQuiet(page);
  await page.context().close();
});

test('a tool that goes says so, and what was typed stays', async () => {
  const page = await open('dev', '/tool/demo.echo');
  await page.getByRole('textbox', { name: 'text' }).fill('kept');
  const admin = await signIn(browser, gateway, 'admin');
  const change = (allow: string) =>
    admin.evaluate(async (allow) => {
      const ask = async (query: string, variables = {}) => {
        const answer = await fetch('/graphql', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ query, variables }),
        });
        return (await answer.json()).data;
      };
      const { createPolicyDraft: d } = await ask('mutation { createPolicyDraft { id revision csv } }');
      const csv = `${d.csv}\np, role:dev, *, tool/demo/echo, call, ${allow}\n`;
      const saved = await ask(
        'mutation($id: ID!, $r: SafeInt!, $csv: String) { savePolicyDraft(id: $id, revision: $r, csv: $csv) { draft { revision } } }',
        { id: d.id, r: d.revision, csv },
      );
      const done = await ask('mutation($id: ID!, $r: SafeInt!) { activatePolicy(id: $id, revision: $r) { id } }', {
        id: d.id,
        r: saved.savePolicyDraft.draft.revision,
      });
      return Boolean(done.activatePolicy?.id);
    }, allow);
  expect(await change('deny')).toBe(true);
  await page.getByText('This is not offered any more').waitFor();
  expect(await page.getByRole('textbox', { name: 'text' }).inputValue()).toBe('kept');
  expect(await page.getByRole('button', { name: 'Call', exact: true }).isDisabled()).toBe(true);
  await page.context().close();
  await admin.context().close();
});

test('the commands run as they are copied, say the same, and run nothing else', async () => {
  const page = await open('admin', '/tool/odd.mirrored');
  const dir = mkdtempSync(path.join(tmpdir(), 'commands-'));
  symlinkSync(binary, path.join(dir, 'gateway'));
  symlinkSync(grpcurl, path.join(dir, 'grpcurl'));
  const TOKEN = tokenOf(gateway, 'admin');
  const marker = path.join(dir, 'pwned');
  const text = `'$(touch ${marker})\`touch ${marker}\`"; touch ${marker}; '\n\u202e!! \\ é`;
  await page.getByRole('textbox', { name: /^text/ }).fill(text);
  await page.getByRole('textbox', { name: /^level/ }).fill('3');
  const run = async (tab: string) => {
    await page.getByRole('tab', { name: tab, exact: true }).click();
    const command = page.getByRole('region', { name: `${tab} command` }).locator('pre');
    // Not the synchronous one: the upstream of this file answers meanwhile.
    const { stdout } = await promisify(execFile)('bash', ['--norc', '-c', (await command.textContent()) ?? ''], {
      cwd: dir,
      env: { PATH: `${dir}:${process.env.PATH}`, TOKEN, HOME: dir, LC_ALL: 'C.UTF-8' },
      timeout: 60_000,
    });
    return stdout;
  };
  // MCP may answer with an event.
  const json = async (tab: string) => JSON.parse((await run(tab)).replace(/^(?:event: .*\n)?data: /, ''));
  const said = {
    mcp: (await json('MCP')).result.structuredContent,
    graphql: (await json('GraphQL')).data.callTool.structured,
    grpc: JSON.parse((await json('gRPC')).resultJson).structuredContent,
    rest: (await json('REST')).structuredContent,
    cli: JSON.parse(await run('Command line')),
  };
  const same = { arguments: { text, level: 3 } };
  expect(said).toEqual({ mcp: same, graphql: same, grpc: same, rest: same, cli: same });
  expect(existsSync(marker)).toBe(false);

  await page.goto(`${gateway.url}/console/capabilities/prompt/demo.greet`);
  await page.getByRole('combobox', { name: 'name' }).fill('Ada');
  for (const tab of ['MCP', 'GraphQL', 'gRPC', 'REST'])
    expect(await run(tab), tab).toContain('friendly greeting for Ada');
  await page.goto(`${gateway.url}/console/capabilities/resource/${encodeURIComponent('demo://about')}`);
  for (const tab of ['MCP', 'GraphQL', 'gRPC', 'REST'])
    expect(await run(tab), tab).toContain('Trilith demo, built with');
  rmSync(dir, { recursive: true });
  checkQuiet(page);
  await page.context().close();
});

test('ten thousand tools: found at once, and few of them in the page', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'many-'));
  const paths = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, i) => [
      `/things/${i}`,
      {
        get: {
          operationId: `thing_${i}`,
          summary: `Thing number ${i} of many`,
          responses: { 200: { description: 'OK' } },
        },
      },
    ]),
  );
  const document = path.join(dir, 'many.json');
  writeFileSync(document, JSON.stringify({ openapi: '3.1.0', info: { title: 'Many', version: '1' }, paths }));
  const many = await startGateway(
    `sources:\n  - name: many\n    max_tools: 10000\n    openapi: {document: ${document}, url: "http://127.0.0.1:9", allow_private: [127.0.0.0/8]}\n`,
  );
  try {
    const page = await signIn(browser, many, 'admin', '/console/capabilities');
    await page.getByRole('link', { name: /^Tools .?10.?0\d\d/ }).waitFor();
    expect(await page.getByRole('row').count()).toBeLessThan(100);
    await page.getByRole('searchbox', { name: 'Search' }).fill('thing_9876');
    await page.getByRole('row', { name: 'many.thing_9876' }).waitFor();
    expect(await page.getByRole('row').count()).toBe(1);
    const times = await page.evaluate(async () => {
      const query =
        'query($s: String) { tools(first: 100, filter: { search: $s }) { totalCount nodes { name title description source tags } } }';
      const out: number[] = [];
      for (let i = 0; i < 30; i++) {
        const began = performance.now();
        const answer = await fetch('/graphql', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ query, variables: { s: `number ${i}` } }),
        });
        await answer.json();
        out.push(performance.now() - began);
      }
      return out.sort((a, b) => a - b);
    });
    console.log(`10,000 tools searched: median ${times[15]?.toFixed(1)} ms, slowest ${times[29]?.toFixed(1)} ms`);
    await page.getByRole('searchbox', { name: 'Search' }).fill('');
    await page.getByRole('row', { name: 'many.thing_0', exact: true }).waitFor();
    await page.getByRole('grid', { name: 'Tools' }).hover();
    await page.mouse.wheel(0, 4_000);
    await page.getByRole('row', { name: 'many.thing_1', exact: true }).waitFor({ state: 'detached' });
    expect(await page.getByRole('row').count()).toBeLessThan(100);
    checkQuiet(page);
    await page.context().close();
  } finally {
    await many.stop();
    rmSync(dir, { recursive: true, force: true });
  }
});
