// Discord's components.

import { h } from '../lib/dom.js';
import { emojify } from '../lib/emoji.js';
import { outward, webAddress } from '../lib/link.js';
import { menu } from '../lib/menu.js';
import { unknown } from '../lib/unknown.js';
import { markdown } from './markdown.js';

const kinds = {
  1: row, 2: button, 3: select, 9: section, 10: text, 11: thumbnail, 12: gallery, 13: file, 14: separator, 17: container,
};

// component draws one. surface is the message around it.
export function component(c, surface) {
  return Object.hasOwn(kinds, c.type) ? kinds[c.type](c, surface) : unknown('component', c.type);
}

const all = (list, surface) => (list ?? []).map(c => component(c, surface));

const hex = colour => `#${(colour & 0xffffff).toString(16).padStart(6, '0')}`;

function container(c, surface) {
  return h('div.d-container', {
    class: [c.accent_color != null && 'has-accent', c.spoiler && 'spoiler'].filter(Boolean).join(' ') || null,
    vars: c.accent_color == null ? {} : { accent: hex(c.accent_color) },
  }, all(c.components, surface));
}

function text(c, surface) {
  return h('div.d-text', null, markdown(c.content, surface.client.names));
}

function separator(c) {
  const looks = [c.divider !== false && 'is-line', c.spacing === 2 && 'is-wide'].filter(Boolean).join(' ');
  return h('div.d-separator', { class: looks || null, role: 'separator' });
}

function row(c, surface) {
  return h('div.d-row', { key: c.components[0]?.custom_id, class: c.components[0]?.type === 2 ? null : 'is-select' }, all(c.components, surface));
}

function section(c, surface) {
  return h('div.d-section', { key: c.accessory?.custom_id }, h('div.d-section-text', null, all(c.components, surface)), component(c.accessory, surface));
}

const styles = { 1: 'primary', 2: 'secondary', 3: 'success', 4: 'danger', 5: 'link' };

function button(c, surface) {
  if (!Object.hasOwn(styles, c.style)) return unknown('button style', c.style);
  const face = [emoji(c.emoji), c.label && h('span', null, emojify(c.label))];
  const className = `is-${styles[c.style]}`;
  if (c.style === 5) {
    const to = !c.disabled && webAddress(c.url) ? outward(c.url) : { 'aria-disabled': 'true' };
    return h('a.d-button', { key: c.url, class: className, ...to }, face, h('span.d-out', { 'aria-hidden': 'true' }, '↗'));
  }
  const busy = surface.isBusy(c);
  return h('button.d-button', {
    key: c.custom_id, type: 'button', 'data-action': c.custom_id, class: busy ? `${className} is-busy` : className,
    disabled: c.disabled, 'aria-busy': busy ? 'true' : null, onclick: () => surface.click(c),
  }, h('span.d-face', null, face), busy && dots());
}

export const dots = () => h('span.dots', { 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));

// An emoji of the guild's own has no character; its name stands for it.
const emoji = e => e && h('span.emoji', null, e.id ? `:${e.name}:` : e.name);

function select(c, surface) {
  const picked = surface.picked(c);
  const shown = c.options.filter(o => picked.has(o.value));
  const most = c.max_values ?? 1;
  return menu(surface.client, {
    id: surface.controlID(c), label: c.placeholder ?? 'Make a selection',
    face: [
      h('span.d-select-text', { class: shown.length ? null : 'is-empty' }, shown.length
        ? shown.map(o => h('span.d-picked', null, emoji(o.emoji), h('span', null, emojify(o.label))))
        : c.placeholder ?? 'Make a selection'),
      surface.isBusy(c) ? dots() : h('span.d-caret', { 'aria-hidden': 'true' }),
    ],
    button: 'button.d-select', props: { 'data-action': c.custom_id, disabled: c.disabled },
    options: c.options.map(o => ({
      value: o.value, text: o.label, note: o.description && emojify(o.description), content: [emoji(o.emoji), h('span', null, emojify(o.label))],
    })),
    picked, several: most > 1 || c.min_values === 0 ? { min: c.min_values ?? 1, max: most } : null,
    pick: value => surface.choose(c, [value].flat()),
  });
}

const attached = /^attachment:\/\//;

// A picture that came with the message is shown. Others stand as words: nothing is
// loaded from elsewhere.
function picture(media, words, surface) {
  const alt = words ?? 'Picture';
  if (attached.test(media?.url)) return h('img.d-picture', { src: surface.file(media.url.replace(attached, '')), alt });
  return h('span.picture', { role: 'img', 'aria-label': alt, title: media?.url }, alt);
}

function thumbnail(c, surface) { return picture(c.media, c.description, surface); }
function gallery(c, surface) { return h('div.d-gallery', null, c.items.map(i => picture(i.media, i.description, surface))); }
function file(c) { return h('div.d-file', null, '📎 ', c.file?.url?.replace(attached, '')); }
