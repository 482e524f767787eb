import { Link } from 'wouter';
import css from './policy.module.css';

/** Several ways to see the same, each with an address. */
export const Views = (props: {
  label: string;
  views: readonly (readonly [string, string])[];
  view: string;
  path: string;
}) => (
  <nav className={css.tabs} aria-label={props.label}>
    {props.views.map(([id, text]) => (
      <Link
        key={id}
        href={id === props.views[0]?.[0] ? props.path : `${props.path}?view=${id}`}
        aria-current={id === props.view ? 'true' : undefined}
        replace
      >
        {text}
      </Link>
    ))}
  </nav>
);
