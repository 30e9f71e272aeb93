// Slack's elements: what a person acts on.

import { h } from '../lib/dom.js';
import { menu } from '../lib/menu.js';
import { outward, webAddress } from '../lib/link.js';
import { unknown } from '../lib/unknown.js';
import { plain } from './mrkdwn.js';
import { takesSeveral } from './surface.js';

const kinds = {
  button, overflow, static_select: select, multi_static_select: select, radio_buttons: choices, checkboxes: choices,
  plain_text_input: field, number_input: field, email_text_input: field, url_text_input: field,
};

export const acting = type => Object.hasOwn(kinds, type);
export const valued = type => acting(type) && type !== 'button' && type !== 'overflow';

// control draws an element of a block. extra are attributes of an input.
export function control(e, block, surface, extra = {}) {
  if (!acting(e.type)) return unknown('element', e.type);
  return kinds[e.type](e, block, surface, extra);
}

// image stands for a picture: nothing is loaded from elsewhere.
export const image = e => h('span.picture', { role: 'img', 'aria-label': e.alt_text, title: e.image_url }, e.alt_text);

function button(e, block, surface) {
  const busy = surface.isBusy(block, e);
  const props = {
    key: e.action_id, 'data-action': e.action_id, 'aria-label': e.accessibility_label, 'aria-busy': busy ? 'true' : null,
    class: [e.style && `is-${e.style}`, busy && 'is-busy'].filter(Boolean).join(' ') || null,
  };
  if (e.url && webAddress(e.url)) return h('a.s-button', { ...props, ...outward(e.url), onclick: () => surface.click(block, e) }, plain(e.text));
  return h('button.s-button', { ...props, type: 'button', onclick: () => surface.click(block, e) }, plain(e.text));
}

const offered = o => ({
  value: o.value, text: o.text.text, content: plain(o.text), note: o.description && plain(o.description),
  href: o.url && webAddress(o.url) ? outward(o.url) : null,
});

const dots = () => h('svg', { viewBox: '0 0 20 20', width: '18', height: '18', 'aria-hidden': 'true' },
  [4.5, 10, 15.5].map(x => h('circle', { cx: x, cy: 10, r: 1.6, fill: 'currentColor' })));

function overflow(e, block, surface) {
  return menu(surface.client, {
    id: surface.controlID(block, e), label: 'More actions', face: dots(), button: 'button.s-button.s-overflow',
    props: { 'data-action': e.action_id, class: surface.isBusy(block, e) ? 'is-busy' : null },
    options: e.options.map(offered), picked: null, pick: value => surface.choose(block, e, value),
  });
}

function select(e, block, surface, extra) {
  const value = surface.value(block, e);
  const options = e.options ?? e.option_groups?.flatMap(g => g.options) ?? [];
  const picked = new Set([value ?? []].flat());
  const shown = options.filter(o => picked.has(o.value));
  return menu(surface.client, {
    id: surface.controlID(block, e), label: extra.id ? null : e.placeholder?.text,
    face: [
      h('span.s-select-text', { class: shown.length > 0 ? null : 'is-empty' }, shown.length > 0
        ? shown.map(o => h('span', { class: takesSeveral(e) ? 's-token' : null }, plain(o.text)))
        : plain(e.placeholder) ?? 'Choose'),
      h('span.s-caret', { 'aria-hidden': 'true' }),
    ],
    button: 'button.s-select', props: { 'data-action': e.action_id, ...extra, class: surface.isBusy(block, e) ? 'is-busy' : null },
    options: options.map(offered), picked, [takesSeveral(e) ? 'toggle' : 'pick']: v => surface.choose(block, e, v),
  });
}

function choices(e, block, surface, extra) {
  const several = takesSeveral(e);
  const value = surface.value(block, e);
  const on = new Set(several ? value : [value]);
  return h('div.s-choices', { role: several ? 'group' : 'radiogroup', 'data-action': e.action_id, ...extra },
    e.options.map(o => h('label.s-choice', null,
      h('input', {
        type: several ? 'checkbox' : 'radio', name: surface.controlID(block, e), 'data-value': o.value, checked: on.has(o.value),
        onchange: () => surface.choose(block, e, o.value),
      }),
      h('span', null, plain(o.text), o.description && h('span.s-choice-note', null, plain(o.description))))));
}

const inputTypes = { number_input: 'text', email_text_input: 'email', url_text_input: 'url' };

function field(e, block, surface, extra) {
  const props = {
    ...extra, 'data-action': e.action_id, value: surface.value(block, e) ?? '', placeholder: e.placeholder?.text, autocomplete: 'off',
    spellcheck: 'false', oninput: event => surface.type(block, e, event.currentTarget.value),
  };
  if (e.multiline) return h('textarea.s-field', { ...props, rows: 4 });
  return h('input.s-field', { ...props, type: inputTypes[e.type] ?? 'text', inputmode: e.type === 'number_input' ? 'decimal' : null });
}
