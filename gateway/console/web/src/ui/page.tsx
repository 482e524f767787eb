import { type ReactNode, useEffect, useId } from 'react';
import css from './ui.module.css';

/** A page: its heading, what can be done, and its content. The title is also that of the browser's tab. */
export function Page(props: { title: string; hint?: ReactNode; actions?: ReactNode; children: ReactNode }) {
  useEffect(() => {
    document.title = `${props.title} · Trilith`;
  }, [props.title]);
  return (
    <div className={css.page}>
      <div className={css.head}>
        <div>
          <h1 tabIndex={-1}>{props.title}</h1>
          {props.hint && <p className="muted">{props.hint}</p>}
        </div>
        {props.actions && <div className="row">{props.actions}</div>}
      </div>
      {props.children}
    </div>
  );
}

/** A part of a page with a heading of its own. */
export function Panel(props: { title: ReactNode; actions?: ReactNode; children: ReactNode }) {
  const id = useId();
  return (
    <section className={css.panel} aria-labelledby={id}>
      <div className="spread">
        <h2 id={id}>{props.title}</h2>
        {props.actions && <div className="row">{props.actions}</div>}
      </div>
      {props.children}
    </section>
  );
}
