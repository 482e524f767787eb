import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';
import { Link } from 'wouter';
import type { Exact } from '../../lib/exact';
import { count, cut } from '../../lib/format';
import { Code, JsonTree, Note } from '../../ui';
import css from './capabilities.module.css';
import { type Block, pathOf } from './documents';

const mostBlocks = 100;
const mostText = 50_000; // Characters that are shown at once.

/** What came back, block by block. Everything of it is data: no text is read as markup, no address is followed. */
export function Content({ blocks, structured }: { blocks: Block[]; structured: Exact }) {
  return (
    <>
      {structured !== null && structured !== undefined && (
        <section aria-label="Structured result">
          <JsonTree value={structured} open={3} />
        </section>
      )}
      {blocks.slice(0, mostBlocks).map((b, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: A result does not change.
        <One key={i} block={b} label={`Block ${i + 1}`} />
      ))}
      {blocks.length > mostBlocks && (
        <p className="muted">{count(blocks.length - mostBlocks)} more blocks are not shown.</p>
      )}
    </>
  );
}

export type Piece = Pick<Block, 'type' | 'text' | 'data' | 'mimeType' | 'uri'> & { raw?: unknown };

export function One({ block: b, label }: { block: Piece; label: string }) {
  const mime = b.mimeType?.toLowerCase().split(';')[0]?.trim() ?? '';
  const where = b.uri && (
    <p>
      <Link href={pathOf('resource', b.uri)}>{cut(b.uri, 500)}</Link> <span className="muted">{cut(mime, 100)}</span>
    </p>
  );
  if (b.type === 'resource_link') return where || <JsonTree value={(b.raw ?? null) as Exact} />;
  const body =
    b.text != null ? (
      <LongText text={b.text} label={label} />
    ) : b.data != null ? (
      <Bytes base64={b.data} mime={mime} label={label} />
    ) : (
      <JsonTree value={(b.raw ?? null) as Exact} />
    );
  return (
    <div className="stack">
      {where}
      {body}
    </div>
  );
}

/** Text of any length, of which a bounded part is in the page. */
function LongText({ text, label }: { text: string; label: string }) {
  const [at, setAt] = useState(0);
  const pages = Math.ceil(text.length / mostText);
  if (pages <= 1) return <Code text={text} label={label} />;
  return (
    <>
      <Code text={text.slice(at * mostText, (at + 1) * mostText)} label={label} />
      <div className="row">
        <Button isDisabled={at === 0} onPress={() => setAt(at - 1)}>
          Before
        </Button>
        <Button isDisabled={at >= pages - 1} onPress={() => setAt(at + 1)}>
          After
        </Button>
        <span className="muted">
          Part {count(at + 1)} of {count(pages)}: {count(text.length)} characters in all
        </span>
        <Save bytes={() => new TextEncoder().encode(text)} name="result.txt" />
      </div>
    </>
  );
}

// Formats of pixels and sound alone: no SVG, which is a document with scripts, and nothing that a browser guesses.
const images = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);
const sounds = new Set([
  'audio/wav',
  'audio/x-wav',
  'audio/mpeg',
  'audio/mp3',
  'audio/ogg',
  'audio/webm',
  'audio/mp4',
  'audio/aac',
  'audio/flac',
]);
const texts = /^(text\/.*|image\/svg\+xml|application\/(.*\+)?(json|xml|yaml|javascript))$/;

function Bytes({ base64, mime, label }: { base64: string; mime: string; label: string }) {
  const bytes = decode(base64);
  if (!bytes) return <Note tone="warn">The bytes of this block are not in Base64.</Note>;
  if (images.has(mime)) return <Image base64={base64} mime={mime} label={label} bytes={bytes} />;
  if (sounds.has(mime)) return <Sound bytes={bytes} mime={mime} label={label} />;
  if (texts.test(mime)) return <LongText text={new TextDecoder().decode(bytes)} label={`${label}, ${mime}`} />;
  return <Unshown bytes={bytes} mime={mime} />;
}

const Unshown = ({ bytes, mime }: { bytes: Uint8Array; mime: string }) => (
  <div className="row">
    <span className="muted">
      {count(bytes.length)} bytes{mime && ` of ${cut(mime, 100)}`}
    </span>
    <Save bytes={() => bytes} name="result.bin" />
  </div>
);

function Image({ base64, mime, label, bytes }: { base64: string; mime: string; label: string; bytes: Uint8Array }) {
  const [broken, setBroken] = useState(false);
  if (broken) return <Unshown bytes={bytes} mime={mime} />;
  const src = `data:${mime};base64,${base64.replace(/\s/g, '')}`;
  return <img className={css.media} src={src} alt={`${label}, ${mime}`} onError={() => setBroken(true)} />;
}

function Sound({ bytes, mime, label }: { bytes: Uint8Array; mime: string; label: string }) {
  const [url, setURL] = useState('');
  // biome-ignore lint/correctness/useExhaustiveDependencies: The bytes of a block do not change.
  useEffect(() => {
    const made = URL.createObjectURL(new Blob([bytes as BlobPart], { type: mime }));
    setURL(made);
    return () => URL.revokeObjectURL(made);
  }, [mime, bytes.length]);
  // biome-ignore lint/a11y/useMediaCaption: The gateway has no captions for it.
  return url ? <audio className={css.media} controls src={url} aria-label={`${label}, ${mime}`} /> : null;
}

/** Saves bytes as a file, as bytes of no type: no browser opens that as a page. */
function Save({ bytes, name }: { bytes: () => Uint8Array; name: string }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([bytes() as BlobPart], { type: 'application/octet-stream' }));
    const a = document.createElement('a');
    a.href = url;
    a.download = name;
    a.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return <Button onPress={save}>Save</Button>;
}

function decode(base64: string): Uint8Array | null {
  try {
    return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  } catch {
    return null;
  }
}
