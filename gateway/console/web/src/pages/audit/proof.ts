/** A proof of inclusion as the gateway gives it. */
export type Proof = { record: string; checkpoint: string; index: number; size: number; hashes: readonly string[] };

/** What a checkpoint says: docs/audit.md has its lines. */
export type Checkpoint = {
  origin: string;
  size: number;
  root: string;
  time: string;
  text: string;
  signatures: Signature[];
};
export type Signature = { name: string; hash: Uint8Array<ArrayBuffer>; signature: Uint8Array<ArrayBuffer> };

/** What holding a proof against the tree has found. */
export type Checked = { ok: boolean; problem: string; leaf: string; root: string; checkpoint: Checkpoint };

const utf8 = new TextEncoder();

const sha256 = async (...parts: Uint8Array<ArrayBuffer>[]) => {
  const all = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    all.set(p, at);
    at += p.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', all));
};

const toBase64 = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes));
const fromBase64 = (text: string) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && a.every((x, i) => x === b[i]);
const node = (left: Uint8Array<ArrayBuffer>, right: Uint8Array<ArrayBuffer>) => sha256(Uint8Array.of(1), left, right);

/** Reads a checkpoint, a signed note. It throws where that is none. */
export function readCheckpoint(note: string): Checkpoint {
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw new Error('the checkpoint has no signature');
  const text = note.slice(0, end + 1);
  const [origin = '', size = '', root = '', ...more] = text.split('\n');
  if (!origin || !/^(0|[1-9]\d{0,15})$/.test(size)) throw new Error('the checkpoint does not say what it covers');
  const signatures = note
    .slice(end + 2)
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [, name = '', blob = ''] = /^\u2014 (\S+) (\S+)$/.exec(line) ?? [];
      const bytes = fromBase64(blob);
      if (!name || bytes.length < 5) throw new Error('the checkpoint has a signature that cannot be read');
      return { name, hash: bytes.slice(0, 4), signature: bytes.slice(4) };
    });
  const time = more.find((line) => line.startsWith('time '))?.slice(5) ?? '';
  return { origin, size: Number(size), root, time, text, signatures };
}

/**
 * Holds a proof against the tree of the checkpoint that came with it, as RFC 6962, section 2.1.1 has it: the record is
 * hashed, and the hashes of the proof lead from it to a root, which must be that of the checkpoint.
 */
export async function checkProof(proof: Proof): Promise<Checked> {
  const checkpoint = readCheckpoint(proof.checkpoint);
  const entry = await sha256(utf8.encode(proof.record));
  const leaf = await sha256(Uint8Array.of(0), entry);
  const answer = (ok: boolean, problem: string, root = '') => ({ ok, problem, leaf: toBase64(leaf), root, checkpoint });
  if (checkpoint.size !== proof.size) return answer(false, 'The checkpoint is of a tree of another size.');
  if (proof.index >= proof.size) return answer(false, 'The tree does not reach as far as the record.');
  if ((JSON.parse(proof.record) as { seq?: unknown }).seq !== proof.index + 1) {
    return answer(false, 'The record has another number than its place in the tree.');
  }
  let at = proof.index;
  let last = proof.size - 1; // Of the level; numbers beyond 2^32 have no bit operators.
  let hash = leaf;
  for (const text of proof.hashes) {
    if (last === 0) return answer(false, 'The proof has more hashes than the tree has levels.');
    const sibling = fromBase64(text);
    if (at % 2 === 1 || at === last) {
      hash = await node(sibling, hash);
      while (at % 2 === 0 && at !== 0) {
        at /= 2;
        last = Math.floor(last / 2);
      }
    } else {
      hash = await node(hash, sibling);
    }
    at = Math.floor(at / 2);
    last = Math.floor(last / 2);
  }
  const root = toBase64(hash);
  if (last !== 0) return answer(false, 'The proof has fewer hashes than the tree has levels.', root);
  return root === checkpoint.root ? answer(true, '', root) : answer(false, 'The hashes lead to another root.', root);
}

/**
 * Checks a checkpoint's signature with the log's public key, a line as `gateway audit key` prints it. It returns what
 * is wrong, or nothing, and throws where the browser has no Ed25519.
 */
export async function checkSignature(point: Checkpoint, key: string): Promise<string> {
  const [, name = '', hash = '', blob = ''] = /^([^+\s]+)\+([0-9a-f]{8})\+(\S+)$/.exec(key.trim()) ?? [];
  if (!name) return 'This is no public key of a log. It is one line: a name, + and eight digits, + and the key.';
  let raw: Uint8Array<ArrayBuffer>;
  try {
    raw = fromBase64(blob);
  } catch {
    return 'The key is not in Base64: copy the whole line.';
  }
  const id = (await sha256(utf8.encode(`${name}\n`), raw)).slice(0, 4);
  if (raw.length !== 33 || raw[0] !== 1 || hash !== Array.from(id, (b) => b.toString(16).padStart(2, '0')).join('')) {
    return 'The key does not fit its own digits: copy the whole line.';
  }
  const mine = point.signatures.find((s) => s.name === name && same(s.hash, id));
  if (!mine) return 'The checkpoint is not signed with this key.';
  const imported = await crypto.subtle.importKey('raw', raw.slice(1), { name: 'Ed25519' }, false, ['verify']);
  const ok = await crypto.subtle.verify({ name: 'Ed25519' }, imported, mine.signature, utf8.encode(point.text));
  return ok ? '' : 'The signature is not that of the checkpoint: somebody has changed it.';
}
