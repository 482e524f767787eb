import { spawnSync } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import type { Gateway } from './gateway';

const binary = path.resolve(process.env.TRILITH_GATEWAY ?? '../../../.build/gateway');

/** What a command of the gateway's binary prints. */
export function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(binary, args, { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) throw new Error(`gateway ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

/** A token of a persona. */
export const tokenOf = (gateway: Gateway, persona: string) =>
  run('token', '--as', persona, '--data', path.join(gateway.dir, 'data'), '--addr', new URL(gateway.url).host);

/** Calls a tool through REST; returns the status. */
export function call(gateway: Gateway, token: string, tool: string, args: object, agent?: http.Agent): Promise<number> {
  const { hostname, port } = new URL(gateway.url);
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' };
  return new Promise((resolve, reject) => {
    const req = http.request(
      { hostname, port, agent, method: 'POST', path: `/v1/tools/${tool}:call`, headers, timeout: 60_000 },
      (res) => {
        res.resume();
        res.on('end', () => resolve(res.statusCode ?? 0));
      },
    );
    req.on('error', reject);
    req.end(JSON.stringify(args));
  });
}

/** Calls demo.echo `rate` times a second until `done`, as far as the machine can; returns how many calls were made. */
export async function load(gateway: Gateway, token: string, rate: number, done: () => boolean): Promise<number> {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
  const began = performance.now();
  let made = 0;
  const one = async () => {
    while (!done()) {
      const early = (made / rate) * 1_000 - (performance.now() - began);
      if (early > 0) {
        await new Promise((resolve) => setTimeout(resolve, early));
        continue;
      }
      made++;
      await call(gateway, token, 'demo.echo', { text: 'x' }, agent);
    }
  };
  await Promise.all(Array.from({ length: 16 }, one));
  agent.destroy();
  return made;
}
