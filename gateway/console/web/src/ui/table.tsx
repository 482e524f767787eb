import type { ReactNode } from 'react';

/** A table that scrolls sideways where it does not fit, by keyboard too. */
export const Table = (props: { label: string; head: ReactNode; children: ReactNode }) => (
  // biome-ignore lint/a11y/useSemanticElements: It is no set of fields.
  // biome-ignore lint/a11y/noNoninteractiveTabindex: It scrolls, so the keyboard must reach it.
  <div className="scroll" role="group" aria-label={props.label} tabIndex={0}>
    <table>
      <thead>{props.head}</thead>
      <tbody>{props.children}</tbody>
    </table>
  </div>
);
