import { count, cut } from '../../lib/format';
import { Empty, Panel, Table } from '../../ui';
import css from './limits.module.css';
import type { Rule } from './queries';
import { matchWords, rateWords } from './words';

/** The rules of the configuration, and what they have done. */
export function Rules({ rules }: { rules: readonly Rule[] }) {
  return (
    <Panel title={`Rules: ${count(rules.length)}`}>
      {rules.length === 0 ? (
        <Empty title="No rate is configured">
          Calls come as fast as they like. Write <code>{'{name: everybody, per: principal, rate: 600/m}'}</code> under{' '}
          <code>limits.rates</code> in the configuration; a change is taken up without a restart.
        </Empty>
      ) : (
        <div className={css.rules}>
          <Table
            label="Rules"
            head={
              <tr>
                <th scope="col">Rule</th>
                <th scope="col">A limit for each</th>
                <th scope="col">Counts</th>
                <th scope="col" className="number">
                  Calls
                </th>
                <th scope="col" className="number">
                  At once
                </th>
                <th scope="col" className="number">
                  Admitted
                </th>
                <th scope="col" className="number">
                  Refused
                </th>
              </tr>
            }
          >
            {rules.map((r) => (
              <tr key={r.name}>
                <th scope="row">{cut(r.name, 100)}</th>
                <td>{r.per === 'global' ? 'all together' : r.per}</td>
                <td className={css.match}>{matchWords(r) || 'everything'}</td>
                <td className="number nowrap">{rateWords(r.rate)}</td>
                <td className="number">{count(r.burst)}</td>
                <td className="number">{count(r.admitted)}</td>
                <td className={`number ${r.refused > 0 ? css.bad : 'muted'}`}>{count(r.refused)}</td>
              </tr>
            ))}
          </Table>
        </div>
      )}
      <p className="muted">Admitted and refused are those of the node that answers, since it started.</p>
    </Panel>
  );
}
