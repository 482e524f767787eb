import { type ComponentType, lazy } from 'react';

/** A part of the console: its place in the menu, and its pages. */
export type Area = {
  /** The path below /console, without a slash at its end; '' is the first page. */
  path: string;
  title: string;
  /**
   * What its reader needs: `read` of this area of administration, such as `policy` for `admin/policy`. Undefined is
   * for everybody who is signed in.
   */
  right?: string;
  /** Loaded when it is opened. It has every path that begins with its own. */
  page: ComponentType;
};

const overview = lazy(() => import('../pages/overview'));
const sources = lazy(() => import('../pages/sources'));
const capabilities = lazy(() => import('../pages/capabilities'));
const policy = lazy(() => import('../pages/policy'));
const audit = lazy(() => import('../pages/audit'));
const sessions = lazy(() => import('../pages/sessions'));
const limits = lazy(() => import('../pages/limits'));
const keys = lazy(() => import('../pages/keys'));

/** Every area, in the order of the menu. */
export const areas: Area[] = [
  { path: '', title: 'Overview', page: overview },
  { path: 'capabilities', title: 'Capabilities', page: capabilities },
  { path: 'sources', title: 'Sources', right: 'sources', page: sources },
  { path: 'policy', title: 'Policy', right: 'policy', page: policy },
  { path: 'audit', title: 'Audit', right: 'audit', page: audit },
  { path: 'sessions', title: 'Sessions', right: 'sessions', page: sessions },
  { path: 'limits', title: 'Limits', right: 'limits', page: limits },
  { path: 'keys', title: 'Keys', right: 'keys', page: keys },
];
