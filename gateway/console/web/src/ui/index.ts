// The kit of the console's pages: react-aria-components for behaviour, these for looks and for what all pages share.
export * from './code';
export * from './combo';
export * from './dialog';
export * from './fields';
export * from './form';
export * from './json';
export * from './page';
export * from './rows';
export * from './shortlist';
export * from './state';
export * from './table';
