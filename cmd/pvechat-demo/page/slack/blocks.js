// Slack's blocks.

import { h } from '../lib/dom.js';
import { unknown } from '../lib/unknown.js';
import { plain, textObject } from './mrkdwn.js';
import { richText } from './richtext.js';
import { acting, control, image, valued } from './elements.js';

// blocks draws the blocks of a surface: what is shown, and where what a person
// does with it goes.
export function blocks(list, surface) {
  return h('div.blocks', null, (list ?? []).map(b => block(b, surface)));
}

const kinds = {
  header: b => h('h3.block.b-header', null, plain(b.text)),
  section, context, actions, input,
  divider: () => h('hr.block.b-divider'),
  image: b => h('figure.block.b-image', null, b.title && h('figcaption', null, plain(b.title)), image(b)),
  rich_text: (b, s) => h('div.block.b-rich', null, richText(b, s.client.names)),
};

function block(b, surface) {
  if (!Object.hasOwn(kinds, b.type)) return unknown('block', b.type);
  return kinds[b.type](b, surface);
}

function section(b, surface) {
  const { names } = surface.client;
  const beside = b.accessory;
  return h('div.block.b-section', { key: beside?.action_id, class: beside && !['overflow', 'button', 'image'].includes(beside.type) ? 'has-wide' : null },
    h('div.b-body', null,
      b.text && h('div.b-text', null, textObject(b.text, names)),
      b.fields && h('div.b-fields', null, b.fields.map(f => h('div.b-field', null, textObject(f, names))))),
    beside && h('div.b-accessory', null, beside.type === 'image' ? image(beside) : control(beside, b, surface)));
}

function context(b, surface) {
  return h('div.block.b-context', null, b.elements.map(e => h('span.b-context-part', null,
    e.type === 'image' ? image(e) : textObject(e, surface.client.names))));
}

function actions(b, surface) {
  return h('div.block.b-actions', { key: b.elements[0]?.action_id }, b.elements.map(e => control(e, b, surface)));
}

function input(b, surface) {
  const id = `${surface.id}-${b.block_id}`;
  const error = surface.errors?.[b.block_id];
  const group = b.element.type === 'checkboxes' || b.element.type === 'radio_buttons';
  const about = { id, 'aria-describedby': error ? `${id}-error` : b.hint ? `${id}-hint` : null, 'aria-invalid': error ? 'true' : null };
  const label = [plain(b.label), b.optional && h('span.b-optional', null, ' (optional)')];
  return h('div.block.b-input', { key: `input ${b.block_id}`, class: error ? 'has-error' : null },
    h(group ? 'div.b-label' : 'label.b-label', group ? { id: `${id}-label` } : { for: id }, label),
    acting(b.element.type) || valued(b.element.type)
      ? control(b.element, b, surface, { ...about, 'data-input': b.block_id, 'aria-labelledby': group ? `${id}-label` : null })
      : unknown('element', b.element.type),
    error && h('div.b-error', { id: `${id}-error`, role: 'alert' }, error),
    !error && b.hint && h('div.b-hint', { id: `${id}-hint` }, plain(b.hint)));
}
