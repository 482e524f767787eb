// Writes name, version and license text of every package that is part of the page.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const out = [];
for (const path of Object.keys(packages).sort()) {
  const p = packages[path];
  if (path === '' || p.dev || p.devOptional || p.optional) continue;
  const { name, version, license } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'));
  const files = readdirSync(path).filter((f) => /^(licen[sc]e|notice)|es-bundle\.js\.LICENSE\.txt$/i.test(f));
  const text =
    files.map((f) => readFileSync(`${path}/${f}`, 'utf8').trim()).join('\n\n') || 'No license file in the package.';
  out.push(`${name} ${version} (${license})\n\n${text}\n`);
}
writeFileSync('../dist/LICENSES.txt', out.join(`\n${'-'.repeat(80)}\n\n`));
