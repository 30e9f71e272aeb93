// Discord's markdown.

import { h } from '../lib/dom.js';
import { emojify, emojiNamed } from '../lib/emoji.js';
import { link, webAddress } from '../lib/link.js';
import { discordTime } from '../lib/time.js';

// markdown draws a text. names are what people and channels are called, by id.
export function markdown(text, names) {
  const out = [];
  let from = 0;
  // What is escaped, and what is inside a code span, opens no block of code.
  for (const m of text.matchAll(/\\[^]|```(?:([\w+.-]*)\n)?([^]+?)```|(`+)(?!`)[^]*?[^`]\3(?!`)/g)) {
    if (!m[0].startsWith('```')) continue;
    out.push(lines(text.slice(from, m.index).replace(/\n$/, ''), names));
    out.push(h('pre', { 'data-language': m[1] || null }, h('code', null, m[2].replace(/\n$/, ''))));
    from = m.index + m[0].length;
    if (text[from] === '\n') from++;
  }
  out.push(lines(text.slice(from), names));
  return out;
}

const leads = [
  [/^(#{1,3}) +(\S.*)$/, (m, say) => h(`h3.md-h${m[1].length}`, null, say(m[2]))],
  [/^-# +(\S.*)$/, (m, say) => h('div.subtext', null, say(m[1]))],
  [/^> (.*)$/, (m, say) => h('blockquote', null, say(m[1]))],
  [/^( *)[-*] +(\S.*)$/, (m, say) => h('div.item', { vars: { indent: Math.floor(m[1].length / 2) } }, h('span', { 'aria-hidden': 'true' }, m[1] ? '◦' : '•'), h('span', null, say(m[2])))],
  [/^( *)(\d+)\. +(\S.*)$/, (m, say) => h('div.item', { vars: { indent: Math.floor(m[1].length / 2) } }, h('span', null, `${m[2]}.`), h('span', null, say(m[3])))],
];

// lines draws what its lines' beginnings make of them; lines without one run on,
// so that marks may span them.
function lines(text, names) {
  if (text === '') return [];
  const say = s => inline(s, names);
  const out = [];
  let plain = null;
  const all = text.split('\n');
  for (let i = 0; i < all.length; i++) {
    if (all[i].startsWith('>>> ')) {
      out.push(h('blockquote', null, lines([all[i].slice(4), ...all.slice(i + 1)].join('\n'), names)));
      return out;
    }
    const lead = leads.find(([pattern]) => pattern.test(all[i]));
    if (lead) {
      plain = null;
      out.push(lead[1](lead[0].exec(all[i]), say));
    } else if (plain === null) {
      out.push(plain = [all[i]]);
    } else {
      plain.push(all[i]);
    }
  }
  return out.map(part => (Array.isArray(part) ? h('div.plain', null, say(part.join('\n'))) : part));
}

// Of two that begin alike, the longer comes first.
const marks = [['***', 'strong', 'em'], ['**', 'strong'], ['__', 'u'], ['~~', 's'], ['||', 'span.spoiler'], ['*', 'em'], ['_', 'em']];

// inline draws text inside a block.
export function inline(text, names) {
  const out = [];
  let said = '';
  const say = node => {
    out.push(...emojify(said), node);
    said = '';
  };
  for (let i = 0; i < text.length;) {
    if (text[i] === '\\' && /[^\w\s]/.test(text[i + 1] ?? ' ')) {
      said += text[i + 1];
      i += 2;
      continue;
    }
    if (text[i] === '\n') {
      say(h('br'));
      i++;
      continue;
    }
    const found = code(text, i) ?? angle(text, i, names) ?? address(text, i, names) ?? marked(text, i, names) ?? shortcode(text, i);
    if (found) {
      say(found.node);
      i = found.end;
      continue;
    }
    said += text[i++];
  }
  say(null);
  return out;
}

function code(text, i) {
  if (text[i] !== '`') return null;
  const end = codeEnd(text, i);
  if (!end) return null;
  const fence = /^`+/.exec(text.slice(i))[0].length;
  const inner = text.slice(i + fence, end - fence);
  return { node: h('code', null, inner.replace(/^ (?=`)|(?<=`) $/g, '')), end };
}

// codeEnd is where the code span that begins at i is over, 0 where none does.
function codeEnd(text, i) {
  const fence = matchAt(/`+/y, text, i)?.[0];
  if (!fence) return 0;
  for (let at = text.indexOf(fence, i + fence.length); at >= 0; at = text.indexOf(fence, at)) {
    const run = matchAt(/`+/y, text, at)[0].length;
    if (run === fence.length) return at + run;
    at += run;
  }
  return 0;
}

const mention = text => h('span.mention', null, text);

const angles = [
  [/<t:(-?\d{1,17})(?::([tTdDfFRsS]))?>/y, m => {
    const time = discordTime(Number(m[1]), m[2]);
    return time && h('span.timestamp', null, time);
  }],
  [/<@!?(\d+)>/y, (m, names) => mention(`@${names[m[1]] ?? 'unknown-user'}`)],
  [/<@&(\d+)>/y, (m, names) => mention(`@${names[m[1]] ?? 'deleted-role'}`)],
  [/<#(\d+)>/y, (m, names) => mention(`#${names[m[1]] ?? 'unknown'}`)],
  [/<\/([^:>\n]+):\d+>/y, m => mention(`/${m[1]}`)],
  [/<a?:(\w+):\d+>/y, m => h('span.emoji', { title: `:${m[1]}:` }, `:${m[1]}:`)],
  [/<(https?:\/\/[^\s<>]+)>/y, m => link(m[1], m[1])],
];

function angle(text, i, names) {
  if (text[i] !== '<') return null;
  for (const [pattern, make] of angles) {
    const m = matchAt(pattern, text, i);
    const node = m && make(m, names);
    if (node) return { node, end: i + m[0].length };
  }
  return null;
}

function address(text, i, names) {
  if (text[i] === '[') {
    const m = matchAt(/\[((?:\\.|[^\\[\]\n])+)\]\(<?(https?:\/\/[^\s<>)]+)>?(?: +"([^"\n]*)")?\)/y, text, i);
    return m && webAddress(m[2]) ? { node: link(m[2], inline(m[1], names)), end: i + m[0].length } : null;
  }
  const m = text[i] === 'h' && !isWord(text[i - 1]) && matchAt(/https?:\/\/[^\s<]*[^\s<.,:;"'\])]/y, text, i);
  return m && webAddress(m[0]) ? { node: link(m[0], m[0]), end: i + m[0].length } : null;
}

function marked(text, i, names) {
  for (const [mark, ...tags] of marks) {
    if (!text.startsWith(mark, i)) continue;
    const end = closing(text, i, mark);
    if (end < 0) continue;
    const node = tags.reduceRight((inner, tag) => h(tag, tag === 'span.spoiler' ? { tabindex: '0' } : null, inner), inline(text.slice(i + mark.length, end), names));
    return { node, end: end + mark.length };
  }
  return null;
}

// closing finds the partner of the mark at i.
function closing(text, i, mark) {
  const start = i + mark.length;
  if (mark === '*' && /\s/.test(text[start] ?? ' ')) return -1;
  if (mark === '_' && isWord(text[i - 1])) return -1;
  for (let j = start; j < text.length; j++) {
    if (text[j] === '\\') {
      j++;
      continue;
    }
    const end = text[j] === '`' ? codeEnd(text, j) : 0;
    if (end) {
      j = end - 1;
      continue;
    }
    if (j === start || !text.startsWith(mark, j)) continue;
    if (mark.length === 1 && text[j + 1] === mark) { // two of them are another mark
      j++;
      continue;
    }
    if (mark === '_' && isWord(text[j + 1])) continue;
    if (mark === '*' && /\s/.test(text[j - 1])) continue;
    return j;
  }
  return -1;
}

function shortcode(text, i) {
  const m = text[i] === ':' && matchAt(/:([a-z0-9_+-]+):/y, text, i);
  const emoji = m && emojiNamed(m[1]);
  return emoji ? { node: h('span.emoji', null, emoji), end: i + m[0].length } : null;
}

const isWord = c => c !== undefined && /[\p{L}\p{N}_]/u.test(c);

function matchAt(pattern, text, i) {
  pattern.lastIndex = i;
  return pattern.exec(text);
}

// plainText is what a reader hears of a text.
export const plainText = text => text.replace(/\\([^\w\s])/g, '$1').replace(/<t:\d+(?::\w)?>/g, '').replace(/^(?:#{1,3}|-#|>) /gm, '').replace(/\*\*|__|`/g, '');
