import { Button } from 'react-aria-components';
import css from './policy.module.css';

/** What a table can do with a line of the policy, where it can be changed. */
export type LineActions<T> = { change: (line: T) => void; remove: (line: number) => void };

export const LineButtons = <T extends { line: number }>({ of, actions }: { of: T; actions: LineActions<T> }) => (
  <div className={css.edit}>
    <Button
      className="react-aria-Button quiet"
      aria-label={`Change line ${of.line}`}
      onPress={() => actions.change(of)}
    >
      Change
    </Button>
    <Button
      className="react-aria-Button quiet"
      aria-label={`Remove line ${of.line}`}
      onPress={() => actions.remove(of.line)}
    >
      Remove
    </Button>
  </div>
);
