// The line in which a person types commands, with what the client suggests.

import { h, only } from './dom.js';

// composer describes it. c has:
//   channel        whose line it is
//   placeholder
//   suggest(text)  → [{fill, title, note}]: fill replaces the line
//   ready(text)    whether Enter sends; else it takes the first suggestion
//   send(text)
export function composer(client, c) {
  const text = client.typed.get(c.channel) ?? '';
  const asks = client.asks?.channel === c.channel ? client.asks : null;
  const offers = asks ? c.suggest(text) : [];
  const at = asks && asks.at < offers.length ? asks.at : -1;
  const id = `${client.platform}-offers`;
  const redraw = () => client.page.redraw(); // the messages stay as they are
  const write = value => {
    client.typed.set(c.channel, value);
    client.asks = value ? { channel: c.channel, at: -1 } : null;
    redraw();
  };
  const send = () => {
    if (!text.trim()) return;
    client.typed.delete(c.channel);
    client.asks = null;
    c.send(text.trim());
    client.redraw();
  };
  return h('div.composer', null,
    offers.length > 0 && h('div.offers', { role: 'listbox', id, 'aria-label': 'Suggestions', 'data-scrolls': 'offers' },
      offers.map((o, i) => offer(o, i === at, `${id}-${i}`, () => write(o.fill)))),
    h('input.composer-line', {
      type: 'text', role: 'combobox', autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'send',
      placeholder: c.placeholder, 'aria-label': c.placeholder, 'data-composer': true, value: text,
      'aria-expanded': String(offers.length > 0), 'aria-controls': id, 'aria-autocomplete': 'list',
      'aria-activedescendant': at >= 0 ? `${id}-${at}` : null,
      oninput: event => write(event.currentTarget.value),
      onblur: () => { client.asks = null; redraw(); },
      onkeydown: event => {
        const move = step => only(() => {
          client.asks = { channel: c.channel, at: (at < 0 && step < 0 ? offers.length : at + step + offers.length) % offers.length };
          redraw();
        })(event);
        const take = i => only(() => write(offers[i].fill))(event);
        if (event.isComposing) return;
        if (event.key === 'ArrowDown' && offers.length) move(1);
        else if (event.key === 'ArrowUp' && offers.length) move(-1);
        else if (event.key === 'Tab' && !event.shiftKey && offers.length && text) take(Math.max(at, 0));
        else if (event.key === 'Escape' && asks) only(() => { client.asks = null; redraw(); })(event);
        else if (event.key === 'Enter' && at >= 0) take(at);
        else if (event.key === 'Enter' && offers.length && !c.ready(text)) take(0);
        else if (event.key === 'Enter') only(send)(event);
      },
    }),
    h('button.composer-send', { type: 'button', 'aria-label': 'Send', disabled: !text.trim(), onclick: send },
      h('svg', { viewBox: '0 0 20 20', width: '18', height: '18', 'aria-hidden': 'true' }, h('path', { d: 'M2.6 3.2 17.6 10 2.6 16.8 4.3 11 11 10 4.3 9z', fill: 'currentColor' }))));
}

const offer = (o, on, id, take) => h('div.offer', {
  role: 'option', id, class: on ? 'is-on' : null, 'aria-selected': String(on),
  onpointerdown: only(take), // before the line loses the focus
}, h('span.offer-title', null, o.title), o.note && h('span.offer-note', null, o.note));

// tries are commands to begin with; a press writes one into the line.
export function tries(client, channel, texts, say = t => t) {
  if (client.page.triesHidden) return null;
  return h('div.tries', { role: 'group', 'aria-label': 'What to try' }, h('span.tries-label', null, 'Try'),
    texts.map(t => {
      const text = say(t);
      if (!text.startsWith('/')) return h('span.tries-text', null, text);
      return h('button.try', {
        type: 'button',
        onclick: event => {
          client.typed.set(channel, text);
          client.redraw();
          const line = event.currentTarget.closest('[data-platform]').querySelector('[data-composer]');
          line.focus();
          line.setSelectionRange(text.length, text.length);
        },
      }, text);
    }),
    h('button.tries-hide', { type: 'button', 'aria-label': 'Hide what to try', onclick: () => client.page.hideTries() }, '×'));
}
