// Discord's embeds: what messages had before components.

import { h } from '../lib/dom.js';
import { link } from '../lib/link.js';
import { unknown } from '../lib/unknown.js';
import { inline, markdown } from './markdown.js';
import { moment } from '../lib/time.js';

export function embed(e, names) {
  if (e.type && e.type !== 'rich') return unknown('embed', e.type);
  const title = e.title && inline(e.title, names);
  return h('div.d-container.d-embed', {
    class: e.color == null ? null : 'has-accent', vars: e.color == null ? {} : { accent: `#${e.color.toString(16).padStart(6, '0')}` },
  },
  e.author && h('div.d-embed-author', null, e.author.name),
  title && h('div.d-embed-title', null, e.url ? link(e.url, title) : title),
  e.description && h('div.d-text', null, markdown(e.description, names)),
  e.fields?.length > 0 && h('div.d-embed-fields', null, e.fields.map(f => h('div.d-embed-field', { class: f.inline ? 'is-inline' : null },
    h('b', null, inline(f.name, names)), h('div', null, markdown(f.value, names))))),
  (e.footer || e.timestamp) && h('div.subtext', null, [e.footer?.text, e.timestamp && moment(new Date(e.timestamp))].filter(Boolean).join(' · ')));
}
