// Slack's text objects.

import { h } from '../lib/dom.js';
import { emojify, emojiNamed } from '../lib/emoji.js';
import { link } from '../lib/link.js';
import { slackDate } from '../lib/time.js';
import { unknown } from '../lib/unknown.js';

// textObject draws a text object of a block.
export function textObject(t, names) {
  switch (t?.type) {
    case undefined: return null;
    case 'plain_text': return plain(t);
    case 'mrkdwn': return mrkdwn(t.text, names, t.verbatim);
    default: return unknown('text', t.type);
  }
}

// plain draws a plain_text object: names of emoji are its only markup.
export function plain(t) {
  if (!t) return null;
  return t.emoji === false ? t.text : emojify(t.text.replace(/:([a-z0-9_+'-]+):/g, (all, name) => emojiNamed(name) ?? all));
}

// mrkdwn draws marked-up text. Only where it is not verbatim, addresses become
// links by themselves.
export function mrkdwn(text, names, verbatim = false) {
  return text.split('```').flatMap((part, i, all) => {
    if (i % 2 === 0) return paragraphs(i > 0 ? part.replace(/^\n/, '') : part, { names, verbatim });
    if (i === all.length - 1) return paragraphs('```' + part, { names, verbatim }); // never closed
    return h('pre', null, entities(part.replace(/^\n|\n$/g, '')));
  });
}

// paragraphs sets quoted lines apart.
function paragraphs(text, how) {
  const groups = [];
  for (const line of text.split('\n')) {
    const mark = /^(?:&gt;|>) ?/.exec(line)?.[0];
    const quoted = mark !== undefined;
    if (groups.at(-1)?.quoted !== quoted) groups.push({ quoted, lines: [] });
    groups.at(-1).lines.push(inline(line.slice(mark?.length ?? 0), how));
  }
  return groups.flatMap(({ quoted, lines }) => {
    const broken = lines.flatMap((line, i) => (i > 0 ? [h('br'), ...line] : line));
    return quoted ? h('blockquote', null, broken) : broken;
  });
}

const marks = { '*': 'strong', _: 'em', '~': 's' };

// inline draws one line.
function inline(text, how) {
  const out = [];
  let said = '';
  const say = node => {
    out.push(emojify(entities(said)), node);
    said = '';
  };
  for (let i = 0; i < text.length;) {
    const end = spanEnd(text, i);
    if (end) {
      say(text[i] === '`' ? h('code', null, entities(text.slice(i + 1, end - 1))) : angle(text.slice(i + 1, end - 1), how));
      i = end;
      continue;
    }
    const tag = marks[text[i]];
    const close = tag && !isWord(text[i - 1]) && closing(text, i);
    if (close > 0) {
      say(h(tag, null, inline(text.slice(i + 1, close), how)));
      i = close + 1;
      continue;
    }
    const named = text[i] === ':' && matchAt(/:([a-z0-9_+'-]+):/y, text, i);
    if (named && emojiNamed(named[1])) {
      said += emojiNamed(named[1]);
      i += named[0].length;
      continue;
    }
    const address = !how.verbatim && text[i] === 'h' && matchAt(/https?:\/\/[^\s<>|]*[^\s<>|.,:;!?)'"]/y, text, i);
    if (address) {
      say(link(entities(address[0]), entities(address[0])));
      i += address[0].length;
      continue;
    }
    said += text[i++];
  }
  say(null);
  return out;
}

function matchAt(pattern, text, i) {
  pattern.lastIndex = i;
  return pattern.exec(text);
}

// spanEnd is where the code span or the <…> that begins at i is over, 0 for none.
function spanEnd(text, i) {
  const close = { '`': '`', '<': '>' }[text[i]];
  const at = close ? text.indexOf(close, i + 1) : -1;
  return at > i + 1 ? at + 1 : 0;
}

// closing finds the partner of the mark at i, on which no blank may lean.
function closing(text, i) {
  if (/\s/.test(text[i + 1] ?? ' ')) return -1;
  for (let j = i + 1; j < text.length; j++) {
    const end = spanEnd(text, j);
    if (end) j = end - 1;
    else if (text[j] === text[i] && j > i + 1 && !/\s/.test(text[j - 1]) && !isWord(text[j + 1])) return j;
  }
  return -1;
}

const isWord = c => c !== undefined && /[\p{L}\p{N}]/u.test(c);

const entity = { amp: '&', lt: '<', gt: '>' };
const entities = s => s.replace(/&(amp|lt|gt);/g, (_, name) => entity[name]);

// angle draws what stands between < and >.
function angle(source, { names }) {
  const [target, label] = cut(source);
  const said = label === undefined ? undefined : entities(label);
  const rest = target.slice(1);
  switch (target[0]) {
    case '@': return mention(`@${names[rest] ?? said ?? rest}`);
    case '#': return mention(`#${said ?? names[rest] ?? rest}`);
    case '!': return special(rest, said);
    default: return link(entities(target), said ?? entities(target).replace(/^mailto:/, ''));
  }
}

function cut(s) {
  const at = s.indexOf('|');
  return at < 0 ? [s] : [s.slice(0, at), s.slice(at + 1)];
}

export const mention = text => h('span.mention', null, text);

function special(target, said) {
  const [name, ...args] = target.split('^');
  switch (name) {
    case 'here': case 'channel': case 'everyone': return mention(`@${name}`);
    case 'subteam': return mention(said ?? `@${args[0]}`);
    case 'date': {
      const date = slackDate(Number(args[0]), args[1] ?? '') ?? said;
      return args[2] ? link(args[2], date) : date;
    }
    default: return said ?? `<!${target}>`;
  }
}
