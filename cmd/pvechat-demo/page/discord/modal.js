// Discord's forms.

import { h, only, takeFocus } from '../lib/dom.js';
import { initials } from '../lib/client.js';
import { unknown } from '../lib/unknown.js';
import { markdown } from './markdown.js';

// modal draws the form that a person has open.
export function modal(client, m) {
  const busy = client.busy.has('submit');
  const cancel = () => client.act('cancel', {}, 'modal');
  return h('div.d-scrim', { key: m.custom_id },
    h('div.d-modal', {
      role: 'dialog', 'aria-label': m.title, 'data-modal': m.custom_id, tabindex: '-1',
      mounted: el => takeFocus(el.querySelector('input, textarea') ?? el),
      onkeydown: event => { if (event.key === 'Escape') only(cancel)(event); },
    }, h('form.contents', { novalidate: true, onsubmit: only(() => client.submit(m)) },
    h('header.d-modal-head', null,
      h('span.avatar.is-app.small', { 'aria-hidden': 'true' }, initials(client.state.bot.name)), h('h2', null, m.title),
      h('button.d-icon', { type: 'button', 'aria-label': 'Close', onclick: cancel }, '×')),
    h('div.d-modal-body', { 'data-scrolls': 'modal' },
      m.components.map(c => part(c, client)),
      client.notices.has('modal') && h('div.d-notice', { role: 'alert' }, client.notices.get('modal'))),
    h('footer.d-modal-foot', null,
      h('button.d-button.is-secondary', { type: 'button', 'data-cancel': true, onclick: cancel }, 'Cancel'),
      h('button.d-button.is-primary', { type: 'submit', 'data-submit': true, disabled: busy }, 'Submit')))));
}

// inputs lists the text inputs of a form.
export const inputs = m => m.components.flatMap(c => c.components ?? [c.component]).filter(c => c?.type === 4);

function part(c, client) {
  switch (c.type) {
    case 1: return c.components.map(input => field(input, input.label, null, client));
    case 18: return field(c.component, c.label, c.description, client);
    case 10: return h('div.d-text', null, markdown(c.content, client.names));
    default: return unknown('component', c.type);
  }
}

function field(input, label, note, client) {
  if (input.type !== 4) return unknown('component', input.type);
  const id = `d-input-${input.custom_id}`;
  const error = client.wrong.get(input.custom_id);
  const required = input.required !== false;
  const props = {
    id, 'data-input': input.custom_id, value: client.form.get(input.custom_id) ?? input.value ?? '', placeholder: input.placeholder,
    autocomplete: 'off', spellcheck: 'false', 'aria-required': String(required), 'aria-invalid': error ? 'true' : null,
    'aria-describedby': error ? `${id}-error` : null,
    oninput: event => client.fill(input.custom_id, event.currentTarget.value),
  };
  return h('div.d-field', { key: input.custom_id },
    h('label', { for: id }, label, required && h('span.d-required', { 'aria-hidden': 'true' }, '*')),
    note && h('div.d-field-note', null, note),
    input.style === 2 ? h('textarea', { ...props, rows: 5 }) : h('input', { ...props, type: 'text' }),
    error && h('div.d-field-error', { id: `${id}-error`, role: 'alert' }, error));
}

// problem is what Discord's client has against a value, null for nothing.
export function problem(input, value) {
  const n = [...value].length;
  const least = input.min_length ?? 0;
  const most = input.max_length ?? 4000;
  if (n === 0) return input.required === false ? null : 'This field is required';
  if (n < least) return `Must be ${least} or more in length.`;
  if (n > most) return `Must be ${most} or fewer in length.`;
  return null;
}
