import type { ReactNode } from 'react';
import { Link, useLocation } from 'wouter';
import { Note, Page } from '../../ui';
import css from './policy.module.css';

const tabs = [
  ['/policy', 'In force'],
  ['/policy/drafts', 'Drafts'],
  ['/policy/history', 'History'],
  ['/policy/explain', 'Explain'],
  ['/policy/try', 'Try out'],
] as const;

/** A page of the area, with the way to the others. */
export function PolicyPage(props: { title: string; hint?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  const [path] = useLocation();
  return (
    <Page title={props.title} hint={props.hint} actions={props.actions}>
      <nav className={css.tabs} aria-label="Policy">
        {tabs.map(([to, text]) => (
          <Link key={to} href={to} aria-current={isHere(path, to) ? 'page' : undefined}>
            {text}
          </Link>
        ))}
      </nav>
      {props.children}
    </Page>
  );
}

const isHere = (path: string, to: string) => path === to || (to !== '/policy' && path.startsWith(`${to}/`));

/** A version by its number. */
export const versionWords = (id: number) => (id === 0 ? 'the built-in policy' : `version ${id}`);

/** The file that a version was read from; empty where somebody put it in force by a draft. */
export const fileOf = (v: { activatedBy: string }) =>
  v.activatedBy.startsWith('file:') ? v.activatedBy.slice('file:'.length) : '';

/** Says that the policy came from a file, and what that means. */
export const FileNote = ({ file }: { file: string }) => (
  <Note tone="accent">
    This version was read from the file <code>{file}</code>. While the gateway reads its policy from a file, that file
    is where it is changed, and drafts are refused. What a change would do can be{' '}
    <Link href="/policy/try">tried out</Link> and decisions can be <Link href="/policy/explain">explained</Link> all the
    same.
  </Note>
);
