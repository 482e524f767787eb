import { useCallback, useState } from 'react';
import { Combo, Form, Wide, Window } from '../../ui';
import { linkLine, type RoleLink, tidy } from './csv';
import { domainsIn, rolesIn, subjectsIn, type Vocabulary } from './suggest';

const fresh: RoleLink = { line: 0, subject: '', role: '', domain: '*' };

/** Who holds a role, in fields. `onDone` gets it as a line. */
export function LinkForm(props: {
  link?: RoleLink;
  vocabulary: Vocabulary;
  onDone: (line: string) => void;
  onClose: () => void;
}) {
  const { vocabulary: v } = props;
  const [link, set] = useState(props.link ?? fresh);
  const put = (change: Partial<RoleLink>) => set((l) => ({ ...l, ...change }));
  const subjects = useCallback(() => subjectsIn(v), [v]);
  const roles = useCallback(() => rolesIn(v), [v]);
  const domains = useCallback(() => domainsIn(v), [v]);
  return (
    <Window
      title={props.link ? `Change who holds the role in line ${props.link.line}` : 'Give a role'}
      isOpen
      onClose={props.onClose}
    >
      <Form
        submit={props.link ? 'Change' : 'Give'}
        isDisabled={!link.subject.trim() || !/^role:./.test(link.role.trim())}
        onSubmit={() => props.onDone(linkLine(tidy(link)))}
        onCancel={props.onClose}
      >
        <Wide>
          <Combo
            label="Principal"
            value={link.subject}
            onChange={(subject) => put({ subject })}
            suggest={subjects}
            autoFocus
            placeholder="group:leads"
            hint="user:, client: or group:; or another role, whose holders then have this one, too."
          />
        </Wide>
        <Combo
          label="Role"
          value={link.role}
          onChange={(role) => put({ role })}
          suggest={roles}
          placeholder="role:admin"
          hint="The role that they hold; it begins with role:"
        />
        <Combo
          label="Tenant"
          value={link.domain}
          onChange={(domain) => put({ domain })}
          suggest={domains}
          hint="* for all."
        />
      </Form>
    </Window>
  );
}
