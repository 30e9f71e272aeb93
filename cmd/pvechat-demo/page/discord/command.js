// Typed commands: what they mean by the commands that are registered, and what
// may follow. "/pve show name:web" and "/pve show web" are the same.

const SUBCOMMAND = 1;
const GROUP = 2;

// leaves are all commands that can be sent: [{path, description, options}].
export function leaves(commands) {
  const under = (c, path) => {
    const subs = (c.options ?? []).filter(o => o.type === SUBCOMMAND || o.type === GROUP);
    if (subs.length > 0) return subs.flatMap(s => under(s, [...path, s.name]));
    return [{ path, description: c.description, options: c.options ?? [] }];
  };
  return commands.filter(c => (c.type ?? 1) === 1).flatMap(c => under(c, [c.name]));
}

// read says what a line means:
//   leaf      the command, null for none
//   values    what is given, by option
//   missing   required options that are not
//   current   what the person is in the middle of: {option, typed}
//   stray     a word that fits nothing
export function read(text, commands) {
  const words = split(text.replace(/^\//, ''));
  const leaf = leaves(commands)
    .filter(l => l.path.every((word, i) => words[i]?.text === word))
    .sort((a, b) => b.path.length - a.path.length)[0];
  if (!leaf) return { leaf: null, values: {}, missing: [], current: null, stray: null };

  const values = {};
  const given = words.slice(leaf.path.length);
  const typing = given.length > 0 && !/\s$/.test(text) ? given.at(-1) : null;
  let current = null;
  let stray = null;
  for (const word of given) {
    const named = leaf.options.find(o => o.name === word.name);
    const free = leaf.options.filter(o => !(o.name in values));
    const option = named ?? free[0];
    const value = named ? word.text : word.source;
    if (option) values[option.name] = value;
    else stray ??= word.source;
    if (word === typing && option) current = { option, typed: value };
  }
  for (const o of leaf.options) if (values[o.name] === '') delete values[o.name];
  if (!typing && given.length < leaf.options.length) {
    const next = leaf.options.find(o => !(o.name in values));
    if (next && /\s$/.test(text)) current = { option: next, typed: '' };
  }
  return { leaf, values, current, stray, missing: leaf.options.filter(o => o.required && !(o.name in values)) };
}

// split cuts a line into words: {name, text, source}, where name is what stands
// before a colon. Quotes keep blanks.
function split(line) {
  return [...line.matchAll(/([\w-]+):(?=\s|$)|(?:([\w-]+):)?(?:"([^"]*)"?|(\S+))/g)].map(([all, empty, name, quoted, bare]) => ({
    name: name ?? empty, text: quoted ?? bare ?? '', source: name || empty ? all : quoted ?? bare,
  }));
}

const quote = value => (/[\s"]/.test(value) ? `"${value.replaceAll('"', '')}"` : value);

// suggest is what may be written next: [{fill, title, note}]. choices are those of
// the option in hand.
export function suggest(text, commands, choices) {
  if (!text.startsWith('/')) return [];
  const { leaf, values, current } = read(text, commands);
  if (!leaf || (!/\s$/.test(text) && !current && text.slice(1) === leaf.path.join(' '))) {
    const typed = text.slice(1).toLowerCase();
    return leaves(commands)
      .filter(l => l.path.join(' ').includes(typed.trimEnd()) && l.path.join(' ') !== typed)
      .map(l => ({ fill: `/${l.path.join(' ')} `, title: `/${l.path.join(' ')}`, note: l.description }));
  }
  const rest = Object.entries(values).filter(([name]) => name !== current?.option.name);
  const line = [`/${leaf.path.join(' ')}`, ...rest.map(([name, value]) => `${name}:${quote(value)}`)].join(' ');
  const out = [];
  if (current) {
    for (const c of choices) {
      if (c.name === current.typed) continue;
      out.push({ fill: `${line} ${current.option.name}:${quote(c.name)} `, title: c.name });
    }
  }
  if (!current?.typed) {
    for (const o of leaf.options) {
      if (o.name in values) continue;
      out.push({ fill: `${line} ${o.name}:`, title: `${o.name}:`, note: o.description });
    }
  }
  return out;
}
