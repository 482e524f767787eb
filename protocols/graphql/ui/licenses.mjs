// Prints name, version and license text of every package that package-lock.json lists for the page itself.
import { readFileSync, readdirSync } from 'node:fs';

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'));
const out = [];
for (const path of Object.keys(packages).sort()) {
  if (path === '' || packages[path].dev || packages[path].devOptional) continue;
  const { name, version, license } = JSON.parse(readFileSync(`${path}/package.json`, 'utf8'));
  const file = readdirSync(path).find((f) => /^licen[sc]e/i.test(f));
  out.push(`${name} ${version} (${license})\n\n${file ? readFileSync(`${path}/${file}`, 'utf8').trim() : 'No license file in the package.'}\n`);
}
console.log(out.join(`\n${'-'.repeat(80)}\n\n`));
