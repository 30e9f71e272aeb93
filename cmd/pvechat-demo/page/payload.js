// The raw requests behind a message.

import { h, only } from './lib/dom.js';
import { get } from './lib/api.js';
import { clockSeconds } from './lib/time.js';

export class Payload {
  constructor(page) {
    this.page = page;
    this.shown = null; // {title, requests, from}
  }

  // button offers those of a message.
  button(platform, channel, id) {
    return h('button.payload-button', {
      type: 'button', title: 'The raw request behind this message',
      onclick: event => this.#show(event.currentTarget, platform, channel, id),
    }, 'payload');
  }

  async #show(from, platform, channel, id) {
    try {
      const requests = await get('/api/raw', { platform, channel, id });
      this.shown = { requests, from };
    } catch (error) {
      this.page.complain(error.message);
    }
    this.page.redraw();
  }

  #close() {
    const { from } = this.shown;
    this.shown = null;
    this.page.redraw();
    from.focus();
  }

  dialog() {
    if (!this.shown) return null;
    const { requests } = this.shown;
    return h('dialog.payload', {
      'aria-label': 'Raw payload', mounted: el => el.showModal(), oncancel: only(() => this.#close()),
      onclick: event => { if (event.target === event.currentTarget) this.#close(); },
    },
    h('header', null, h('h2', null, 'Raw payload'), h('span', null, 'newest first'), h('button.tool.close', { type: 'button', 'aria-label': 'Close', onclick: () => this.#close() }, '×')),
    h('div.payload-body', { tabindex: '0' },
      requests.length === 0 && h('p', null, 'Nobody sent it: the client made it.'),
      requests.map((r, i) => h('details.request', { key: i, open: i === 0 },
        h('summary', null, h('b', null, r.method), h('code', null, r.path), h('span.status', { class: r.status < 400 ? null : 'is-bad' }, r.status), h('time', null, clockSeconds(new Date(r.at)))),
        h('pre', null, json(parsed(r.body), '')),
        r.response != null && r.response !== '' && h('div', null, h('h3', null, 'Answer'), h('pre', null, json(parsed(r.response), '')))))));
  }
}

// parsed is a body that came as text, where it is JSON.
function parsed(body) {
  if (typeof body !== 'string') return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}

const token = (kind, text) => h(`span.j-${kind}`, null, text);

// json is a value, indented and coloured.
function json(value, indent) {
  if (typeof value === 'string') return token('text', JSON.stringify(value));
  if (value === null || typeof value !== 'object') return token('word', String(value));
  const list = Array.isArray(value);
  const items = list ? value.map(v => [null, v]) : Object.entries(value);
  const [open, close] = list ? '[]' : '{}';
  if (items.length === 0) return open + close;
  return [open, items.map(([name, v], i) => [
    i ? ',\n' : '\n', indent, '  ', name !== null && [token('name', JSON.stringify(name)), ': '], json(v, `${indent}  `),
  ]), '\n', indent, close];
}
