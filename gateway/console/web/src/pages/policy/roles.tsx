import { useMemo } from 'react';
import { Link } from 'wouter';
import { count, cut } from '../../lib/format';
import { Empty, Rows } from '../../ui';
import { type Policy, type Role, type RoleLink, rolesOf } from './csv';
import css from './policy.module.css';
import { linkWords } from './rules';
import { whole } from './static';

const words = (links: RoleLink[], of: (l: RoleLink) => string) => cut(links.slice(0, 20).map(of).join(', '), 300);

/** The roles of a policy, who has them, and which roles they bring. */
export function Roles({ policy }: { policy: Policy }) {
  const roles = useMemo(() => rolesOf(policy), [policy]);
  return (
    <>
      <p className="muted">
        Who has a role by this policy. Tokens bring roles, too: whoever signs in with the role <code>dev</code> has{' '}
        <code>role:dev</code> without a line here.
      </p>
      <Rows
        label="Roles"
        pages={whole(roles)}
        id={(r) => r.name}
        text={(r) => r.name}
        height={84}
        measured
        most="62dvh"
        row={(r) => <RoleRow role={r} />}
        empty={
          <Empty title="No roles">
            A draft can give one: a line such as <code>g, group:leads, role:admin</code>, or a row of its table Roles.
          </Empty>
        }
      />
    </>
  );
}

const RoleRow = ({ role: r }: { role: Role }) => (
  <div className={css.entry}>
    <span className="mono">
      <Link href={`/policy/explain?subject=${encodeURIComponent(r.name)}`}>{cut(r.name, 200)}</Link>
    </span>
    <span className="muted">
      {count(r.rules)} {r.rules === 1 ? 'rule' : 'rules'}
      {r.roles.length > 0 && <> · brings {words(r.roles, (l) => l.role)}</>}
    </span>
    <span>
      {r.holders.length === 0 ? (
        <span className="muted">Nobody by this policy</span>
      ) : (
        <>
          Given to <span className="mono">{words(r.holders, linkWords)}</span>
          {r.holders.length > 20 && ` and ${count(r.holders.length - 20)} more`}
        </>
      )}
    </span>
  </div>
);
