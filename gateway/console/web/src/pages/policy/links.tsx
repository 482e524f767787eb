import { useDeferredValue, useMemo } from 'react';
import { cut } from '../../lib/format';
import { Empty, Rows, Search } from '../../ui';
import { linkLine, type RoleLink } from './csv';
import { type LineActions, LineButtons } from './line-buttons';
import css from './policy.module.css';
import { filter, Shown } from './rules';
import { whole } from './static';

/** Who holds which role, line by line, to be changed. */
export function Links(props: {
  links: RoleLink[];
  search: string;
  onSearch: (text: string) => void;
  actions: LineActions<RoleLink>;
  add: React.ReactNode;
}) {
  const search = useDeferredValue(props.search);
  const shown = useMemo(() => filter(props.links, search, linkLine), [props.links, search]);
  return (
    <>
      <div className={css.tools}>
        <Search label="Filter roles" value={props.search} onChange={props.onSearch} placeholder="role:admin" />
        <Shown of={shown.length} all={props.links.length} word="line" />
        {props.add}
      </div>
      <div className={css.lines}>
        {shown.length > 0 && (
          <div className={`${css.link} ${css.heading}`} aria-hidden="true">
            <span>Line</span>
            <span>Principal</span>
            <span>Role</span>
            <span>Tenant</span>
          </div>
        )}
        <Rows
          label="Who holds which role"
          pages={whole(shown)}
          id={(l) => String(l.line)}
          text={(l) => `${l.subject} holds ${l.role} ${l.domain === '*' ? 'everywhere' : `in ${l.domain}`}`}
          height={46}
          measured
          most="62dvh"
          row={(l) => <LinkRow link={l} actions={props.actions} />}
          empty={
            props.links.length === 0 ? (
              <Empty title="Nobody holds a role by this policy">
                Give one to a user, a client, a group, or to whoever holds another role. Roles that tokens bring need no
                line.
              </Empty>
            ) : (
              <Empty title="No line holds all of these words">Principal, role and tenant are looked at.</Empty>
            )
          }
        />
      </div>
    </>
  );
}

const LinkRow = ({ link: l, actions }: { link: RoleLink; actions: LineActions<RoleLink> }) => (
  <div className={css.link}>
    <span className={css.line}>{l.line}</span>
    <span className={`mono ${css.subject}`} title={cut(l.subject, 500)}>
      {cut(l.subject, 200)}
    </span>
    <span className={css.role}>
      <span className="mono" title={cut(l.role, 500)}>
        {cut(l.role, 200)}
      </span>
    </span>
    <span className={`mono ${css.domain} ${l.domain === '*' ? css.any : ''}`}>{cut(l.domain, 100)}</span>
    <LineButtons of={l} actions={actions} />
  </div>
);
