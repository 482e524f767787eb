import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { checkProof, checkSignature, type Proof, readCheckpoint } from './proof';

const hash = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
const line = (i: number) => `{"v":1,"seq":${i + 1},"prev":""}`;
const leaf = (i: number) => hash(Buffer.of(0), hash(Buffer.from(line(i))));
const split = (n: number) => 2 ** Math.floor(Math.log2(n - 1));

// The definitions of RFC 6962, section 2.1, word for word.
function root(from: number, to: number): Buffer {
  if (to - from === 1) return leaf(from);
  const k = from + split(to - from);
  return hash(Buffer.of(1), root(from, k), root(k, to));
}
function path(m: number, from: number, to: number): Buffer[] {
  if (to - from === 1) return [];
  const k = from + split(to - from);
  return m < k ? [...path(m, from, k), root(k, to)] : [...path(m, k, to), root(from, k)];
}

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const name = 'trilith-audit/test';
const raw = Buffer.concat([Buffer.of(1), publicKey.export({ type: 'spki', format: 'der' }).subarray(-32)]);
const id = hash(Buffer.from(`${name}\n`), raw).subarray(0, 4);
const key = `${name}+${id.toString('hex')}+${raw.toString('base64')}`;

function note(size: number, of: Buffer): string {
  const text = `${name}\n${size}\n${of.toString('base64')}\nchain 00\nprev 00\ntime 2026-01-01T00:00:00Z\n`;
  const blob = Buffer.concat([id, sign(null, Buffer.from(text), privateKey)]);
  return `${text}\n\u2014 ${name} ${blob.toString('base64')}\n`;
}
const proofOf = (m: number, n: number): Proof => ({
  record: line(m),
  checkpoint: note(n, root(0, n)),
  index: m,
  size: n,
  hashes: path(m, 0, n).map((h) => h.toString('base64')),
});

test('every record of every small tree is proved', async () => {
  for (let n = 1; n <= 20; n++) {
    for (let m = 0; m < n; m++) {
      expect(await checkProof(proofOf(m, n)), `${m} of ${n}`).toMatchObject({ ok: true, problem: '' });
    }
  }
});

test('a proof of anything else is refused', async () => {
  const good = proofOf(5, 13);
  const wrong: Record<string, Partial<Proof>> = {
    'another record': { record: line(5).replace('""', '"x"') },
    'another number in the record': { record: line(6) },
    'another place': { index: 4 },
    'beyond the tree': { index: 13 },
    'another size': { size: 12 },
    'a hash less': { hashes: good.hashes.slice(1) },
    'the last hash less': { hashes: good.hashes.slice(0, -1) },
    'a hash more': { hashes: [...good.hashes, good.hashes[0] ?? ''] },
    'hashes in another order': { hashes: good.hashes.toReversed() },
    'another root': { checkpoint: note(13, root(0, 12)) },
  };
  for (const [what, change] of Object.entries(wrong)) {
    const { ok, problem } = await checkProof({ ...good, ...change });
    expect([what, ok, problem !== '']).toEqual([what, false, true]);
  }
  await expect(checkProof({ ...good, checkpoint: 'no note' })).rejects.toThrow('no signature');
  await expect(checkProof({ ...good, hashes: ['%'] })).rejects.toThrow();
});

test('a signature is that of the key, the name and the text', async () => {
  const point = readCheckpoint(note(13, root(0, 13)));
  expect(point).toMatchObject({ origin: name, size: 13, time: '2026-01-01T00:00:00Z' });
  expect(await checkSignature(point, ` ${key}\n`)).toBe('');
  expect(await checkSignature({ ...point, text: point.text.replace('13', '14') }, key)).toContain('changed');
  expect(await checkSignature(point, key.slice(0, -4))).toContain('whole line');
  expect(await checkSignature(point, 'nonsense')).toContain('no public key');
  const other = Buffer.from(raw).fill(7, 1);
  const otherId = hash(Buffer.from(`${name}\n`), other).subarray(0, 4);
  const otherKey = `${name}+${otherId.toString('hex')}+${other.toString('base64')}`;
  expect(await checkSignature(point, otherKey)).toContain('not signed with this key');
});
