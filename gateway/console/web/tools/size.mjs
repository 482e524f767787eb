// Fails where the first view, that is the page with what it loads at once, is larger than 250 KB compressed.
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const dist = new URL('../../dist/', import.meta.url);
const html = readFileSync(new URL('index.html', dist), 'utf8');
const files = [...html.matchAll(/(?:src|href)="\/console\/([^"]+)"/g)].map((m) => m[1]);
const start = JSON.parse(readFileSync(new URL('manifest.json', dist), 'utf8'))['src/pages/overview/index.tsx'];
files.push(start.file, ...(start.css ?? []));
const size = [...new Set(['index.html', ...files])].reduce(
  (n, f) => n + gzipSync(readFileSync(new URL(f, dist)), { level: 9 }).length,
  0,
);
console.log(`first view: ${(size / 1000).toFixed(1)} KB compressed, ${new Set(files).size + 1} files`);
if (size > 250_000) process.exit(1);
