import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** The binary of the gateway, which scripts/console.sh builds. */
const binary = path.resolve(process.env.TRILITH_GATEWAY ?? '../../../.build/gateway');

/** A gateway of a test's own: `gateway dev` with its state in a directory that goes away with it. */
export type Gateway = { url: string; dir: string; stop: () => Promise<void>; restart: () => Promise<void> };

/**
 * Starts a gateway on ports that the kernel picks. `config` is YAML that is served besides the demo, as with
 * `gateway dev --config`.
 */
export async function startGateway(config?: string): Promise<Gateway> {
  if (!existsSync(binary)) throw new Error(`${binary} is missing: go build -o .build/gateway ./cmd/gateway`);
  const dir = mkdtempSync(path.join(tmpdir(), 'console-'));
  const args = ['dev', '--grpc-addr', '127.0.0.1:0', '--data', path.join(dir, 'data')];
  if (config !== undefined) {
    writeFileSync(path.join(dir, 'gateway.yaml'), config);
    args.push('--config', path.join(dir, 'gateway.yaml'));
  }
  let running = await start(args, '127.0.0.1:0');
  return {
    get url() {
      return running.url;
    },
    dir,
    async stop() {
      await end(running.child);
      rmSync(dir, { recursive: true, force: true });
    },
    /** Ends it, and starts it again at the same address. */
    async restart() {
      await end(running.child);
      running = await start(args, new URL(running.url).host);
    },
  };
}

function start(args: string[], addr: string): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(binary, [...args, '--addr', addr], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let out = '';
    const late = setTimeout(() => reject(new Error(`the gateway does not start:\n${out}`)), 60_000);
    const read = (data: Buffer) => {
      out += data;
      const url = /(http:\/\/127\.0\.0\.1:\d+)\/graphql\/ui\//.exec(out)?.[1];
      if (url && out.includes('Tokens for the personas')) {
        clearTimeout(late);
        resolve({ child, url });
      }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`the gateway ended with ${code}:\n${out}`)));
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((done) => {
    if (child.exitCode !== null) return done();
    const hard = setTimeout(() => child.kill('SIGKILL'), 20_000);
    child.removeAllListeners('exit');
    child.on('exit', () => {
      clearTimeout(hard);
      done();
    });
    child.kill('SIGTERM');
  });
}
