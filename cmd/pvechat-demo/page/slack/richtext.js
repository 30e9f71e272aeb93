// Slack's rich text: marked up by structure, so that its words are exact.

import { h } from '../lib/dom.js';
import { emojify, emojiNamed } from '../lib/emoji.js';
import { link } from '../lib/link.js';
import { slackDate } from '../lib/time.js';
import { unknown } from '../lib/unknown.js';
import { mention } from './mrkdwn.js';

export function richText(block, names) {
  return h('div.rich-text', null, block.elements.map(e => part(e, names)));
}

function part(e, names) {
  const content = () => e.elements.map(leaf => inline(leaf, names));
  switch (e.type) {
    case 'rich_text_section': return h('div', null, content());
    case 'rich_text_quote': return h('blockquote', null, content());
    case 'rich_text_preformatted': return h('pre', null, e.elements.map(leaf => leaf.text ?? leaf.url));
    case 'rich_text_list':
      return h(e.style === 'ordered' ? 'ol' : 'ul', { start: e.offset ? e.offset + 1 : null, vars: { indent: e.indent ?? 0 } },
        e.elements.map(item => h('li', null, item.elements.map(leaf => inline(leaf, names)))));
    default: return unknown('rich text', e.type);
  }
}

const tags = { code: 'code', strike: 's', italic: 'em', bold: 'strong', underline: 'u' };

function inline(e, names) {
  const styles = Object.keys(tags).filter(name => e.style?.[name]);
  return styles.reduce((inner, name) => h(tags[name], null, inner), leaf(e, names));
}

function leaf(e, names) {
  switch (e.type) {
    case 'text': return emojify(e.text).map(t => (typeof t === 'string' ? lines(t) : t));
    case 'link': return link(e.url, e.text ?? e.url);
    case 'emoji': return h('span.emoji', null, e.unicode ? fromHex(e.unicode) : emojiNamed(e.name) ?? `:${e.name}:`);
    case 'user': return mention(`@${names[e.user_id] ?? e.user_id}`);
    case 'usergroup': return mention(`@${e.usergroup_id}`);
    case 'channel': return mention(`#${names[e.channel_id] ?? e.channel_id}`);
    case 'broadcast': return mention(`@${e.range}`);
    case 'color': return h('span.colour', { vars: { colour: /^#[0-9a-f]{3,8}$/i.test(e.value) ? e.value : 'transparent' } }, e.value);
    case 'date': {
      const date = slackDate(e.timestamp, e.format) ?? e.fallback;
      return e.url ? link(e.url, date) : date;
    }
    default: return unknown('rich text', e.type);
  }
}

const lines = text => text.split('\n').flatMap((line, i) => (i ? [h('br'), line] : [line]));

function fromHex(code) {
  const points = code.split('-').map(p => parseInt(p, 16));
  return points.every(p => p > 0 && p <= 0x10ffff) ? String.fromCodePoint(...points) : code;
}
