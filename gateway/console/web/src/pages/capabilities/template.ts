// URI templates (RFC 6570) of all levels, with strings as values: what the page fills in by hand.

const expression = /\{([+#./;?&]?)([^{}]*)\}/g;
const operators: Record<string, { first: string; between: string; named: boolean; bare: string; free: boolean }> = {
  '': { first: '', between: ',', named: false, bare: '', free: false },
  '+': { first: '', between: ',', named: false, bare: '', free: true },
  '#': { first: '#', between: ',', named: false, bare: '', free: true },
  '.': { first: '.', between: '.', named: false, bare: '', free: false },
  '/': { first: '/', between: '/', named: false, bare: '', free: false },
  ';': { first: ';', between: ';', named: true, bare: '', free: false },
  '?': { first: '?', between: '&', named: true, bare: '=', free: false },
  '&': { first: '&', between: '&', named: true, bare: '=', free: false },
};

const specs = (list: string) =>
  list.split(',').map((spec) => {
    const [, name = '', length] = /^([^:*]*)(?::(\d{1,4})|\*)?$/.exec(spec.trim()) ?? [];
    return { name, length: length === undefined ? Number.POSITIVE_INFINITY : Number(length) };
  });

/** The names that a template asks for, each once, in its order. */
export const variablesOf = (template: string): string[] =>
  [...new Set([...template.matchAll(expression)].flatMap((m) => specs(m[2] ?? '').map((s) => s.name)))]
    .filter(Boolean)
    .slice(0, 100);

/** The URI that a template makes of values; an empty one is one that is not given. */
export function expand(template: string, values: Record<string, string>): string {
  return template.replace(expression, (_, operator: string, list: string) => {
    const o = operators[operator];
    if (!o) return '';
    const parts = specs(list).flatMap(({ name, length }) => {
      const value = Object.hasOwn(values, name) ? (values[name] ?? '') : '';
      if (value === '') return [];
      const text = inURI([...value].slice(0, length).join(''), o.free);
      return [o.named ? `${name}${text ? `=${text}` : o.bare}` : text];
    });
    return parts.length ? o.first + parts.join(o.between) : '';
  });
}

function inURI(text: string, free: boolean): string {
  const strict = encodeURIComponent(text.replace(/\p{Surrogate}/gu, '\ufffd')).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  if (!free) return strict;
  // Reserved characters and escapes that are there already stay.
  return strict
    .replace(/%(?:3A|2F|3F|23|5B|5D|40|21|24|26|27|28|29|2A|2B|2C|3B|3D)/g, (c) => decodeURIComponent(c))
    .replace(/%25([0-9A-Fa-f]{2})/g, '%$1');
}
