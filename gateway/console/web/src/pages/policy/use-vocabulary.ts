import { useCallback, useMemo } from 'react';
import { useClient } from 'urql';
import { type Policy, wordsOf } from './csv';
import { objectOf } from './objects';
import { capabilitySearch } from './queries';
import type { Vocabulary } from './suggest';

/** The words of a policy, and the capabilities that the viewer can see. */
export function useVocabulary(policy: Policy): Vocabulary {
  const client = useClient();
  const search = useCallback(
    async (text: string) => {
      const asked = { search: text.replace(/[*?{}\\]/g, '').slice(0, 60) };
      const { data } = await client.query(capabilitySearch, asked).toPromise();
      if (!data) return [];
      return [
        ...data.tools.nodes.map((t) => objectOf('tool', t.source, t.name)),
        ...data.resources.nodes.map((r) => `resource/${r.source}/${r.uri}`),
        ...data.resourceTemplates.nodes.map((t) => `resource/${t.source}/${t.uriTemplate.replace(/[{}]/g, '\\$&')}`),
        ...data.prompts.nodes.map((p) => objectOf('prompt', p.source, p.name)),
      ];
    },
    [client],
  );
  return useMemo(() => ({ ...wordsOf(policy), search }), [policy, search]);
}
