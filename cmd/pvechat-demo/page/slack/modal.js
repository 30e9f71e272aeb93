// Slack's modals, the Home tab and a control's own question.

import { h, only, takeFocus } from '../lib/dom.js';
import { blocks } from './blocks.js';
import { plain } from './mrkdwn.js';
import { ViewSurface } from './surface.js';

const focusFirst = el => takeFocus(el.querySelector('input:not([type=radio]), textarea') ?? el.querySelector('[data-submit]') ?? el);

// modal draws the view on top of a person's stack.
export function modal(client, view, below) {
  const surface = new ViewSurface(client, view, { view: view.id });
  const busy = client.busy.has(`${view.id} submit`);
  const close = () => surface.close();
  return h('div.s-scrim', { key: view.id },
    h('div.s-modal', {
      role: 'dialog', 'aria-label': view.title?.text, 'data-modal': view.id, tabindex: '-1', mounted: focusFirst,
      onkeydown: event => { if (event.key === 'Escape') only(close)(event); },
    }, h('form.contents', { novalidate: true, onsubmit: only(() => view.submit && surface.submit()) },
    h('header.s-modal-head', null,
      below && h('button.s-icon', { type: 'button', 'aria-label': 'Back', onclick: close }, '‹'),
      h('h2', null, plain(view.title)),
      h('button.s-icon', { type: 'button', 'aria-label': 'Close', onclick: close }, '×')),
    h('div.s-modal-body', { 'data-scrolls': 'modal', tabindex: '-1' }, blocks(view.blocks, surface), notice(client, view.id)),
    h('footer.s-modal-foot', null,
      h('button.s-button', { type: 'button', 'data-cancel': true, onclick: close }, view.close ? plain(view.close) : 'Close'),
      view.submit && h('button.s-button.is-primary', { type: 'submit', 'data-submit': true, class: busy ? 'is-busy' : null, disabled: busy }, plain(view.submit))))));
}

// home draws the Home tab.
export function home(client, view) {
  if (!view) return h('div.s-home-empty', null, client.busy.has('home') ? 'Opening…' : 'Nothing has been published here yet.');
  const surface = new ViewSurface(client, view, { home: true });
  return h('div.s-home', { 'data-scrolls': 'home', key: 'home', tabindex: '0' }, blocks(view.blocks, surface), notice(client, view.id));
}

export function notice(client, place) {
  const text = client.notices.get(place);
  return text && h('div.s-notice', { role: 'alert' }, text);
}

// question draws the confirmation that a control carries.
export function question(client) {
  const q = client.question;
  if (!q) return null;
  const answer = yes => {
    client.question = null;
    client.redraw();
    if (q.from?.isConnected) q.from.focus();
    q.answer(yes);
  };
  return h('div.s-scrim.s-above', { key: 'question' },
    h('div.s-modal.s-question', {
      role: 'alertdialog', 'aria-modal': 'true', 'aria-label': q.title.text, 'data-confirm': true,
      mounted: el => takeFocus(el.querySelector('[data-no]')),
      onkeydown: event => { if (event.key === 'Escape') only(() => answer(false))(event); },
    },
    h('h2', null, plain(q.title)),
    h('p', null, client.text(q.text)),
    h('footer.s-modal-foot', null,
      h('button.s-button', { type: 'button', 'data-no': true, onclick: () => answer(false) }, plain(q.deny)),
      h('button.s-button', { type: 'button', class: q.style === 'danger' ? 'is-danger' : 'is-primary', 'data-yes': true, onclick: () => answer(true) }, plain(q.confirm)))));
}
