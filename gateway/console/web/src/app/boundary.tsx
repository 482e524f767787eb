import { Component, type ReactNode } from 'react';
import { Note } from '../ui';

/** Keeps a mistake in one page from taking the others with it. */
export class Boundary extends Component<{ children: ReactNode }, { problem: string }> {
  override state = { problem: '' };

  static getDerivedStateFromError(error: unknown) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }

  override render() {
    if (!this.state.problem) return this.props.children;
    return (
      <Note tone="bad">
        This page could not be shown: {this.state.problem}.{' '}
        <button type="button" className="ui-button" onClick={() => window.location.reload()}>
          Load it again
        </button>
      </Note>
    );
  }
}
