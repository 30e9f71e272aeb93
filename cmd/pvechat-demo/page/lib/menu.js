// A button that opens a list to pick from. It looks as each client has it, and
// is worked in the same way: arrows, Home, End, the first letters, Escape.

import { h, only } from './dom.js';

const GAP = 10; // px around an open list
const LEAST = 130; // px of its height

// menu describes it. m has:
//   id, label      which menu this is, and what it is called
//   face           what the closed button shows; button: its tag; props: more of it
//   options        [{value, content, text, href, note}], content as drawn and text as read
//   picked         a set of values; null for a menu of commands, which keeps none
//   several        more than one may be picked; sent when it closes: {min, max}
//   pick(value)    or pick(values) where several
//   toggle(value)  instead of both: told at once of each, while the list stays open
export function menu(client, m) {
  const open = client.menu?.id === m.id ? client.menu : null;
  return h('div.menu-host', { key: m.id, class: open ? 'is-open' : null, onkeydown: open ? keys(client, m) : null },
    h(m.button ?? 'button', {
      type: 'button', 'aria-label': m.label, 'aria-haspopup': m.picked ? 'listbox' : 'menu', 'aria-expanded': String(Boolean(open)),
      ...m.props,
      onclick: () => (open ? close(client, m) : show(client, m)),
      onkeydown: event => {
        if (!open && (event.key === 'ArrowDown' || event.key === 'ArrowUp')) only(() => show(client, m))(event);
      },
    }, m.face),
    open && list(client, m, open));
}

function show(client, m) {
  client.menu = { id: m.id, picked: new Set(m.picked), close: () => close(client, m, false) };
  client.redraw();
}

// close closes it, sends what was picked where several may be, and gives the
// focus back.
function close(client, m, focus = true) {
  const { picked } = client.menu;
  const host = focus && document.activeElement?.closest('.menu-host');
  client.menu = null;
  client.redraw();
  if (host) host.firstElementChild.focus();
  if (m.several && !same(picked, m.picked) && picked.size >= m.several.min) m.pick([...picked]);
}

const same = (a, b) => a.size === b.size && [...a].every(v => b.has(v));

function list(client, m, open) {
  const commands = !m.picked;
  return h('div.menu', {
    role: commands ? 'menu' : 'listbox', 'aria-label': m.label, 'aria-multiselectable': m.several || m.toggle ? 'true' : null,
    mounted: el => {
      place(el);
      (el.querySelector('[aria-selected=true], [aria-checked=true]') ?? el.firstElementChild)?.focus({ preventScroll: true });
      el.scrollIntoView({ block: 'nearest' });
      document.activeElement.scrollIntoView({ block: 'nearest' });
    },
  }, m.options.map(o => option(client, m, open, o, commands)));
}

function option(client, m, open, o, commands) {
  const picked = (m.several ? open.picked : m.picked)?.has(o.value);
  return h(o.href ? 'a.menu-option' : 'button.menu-option', {
    type: o.href ? null : 'button', tabindex: '-1', 'data-value': o.value, ...o.href,
    role: commands ? 'menuitem' : 'option', 'aria-selected': commands ? null : String(Boolean(picked)),
    onclick: () => pick(client, m, open, o),
  }, h('span.menu-text', null, o.content, o.note && h('span.menu-note', null, o.note)),
  picked && h('span.menu-check', { 'aria-hidden': 'true' }, '✓'));
}

function pick(client, m, open, o) {
  if (m.toggle) {
    m.toggle(o.value);
    return;
  }
  if (!m.several) {
    const host = document.activeElement?.closest('.menu-host');
    client.menu = null;
    client.redraw();
    host?.firstElementChild.focus();
    m.pick(o.value);
    return;
  }
  if (open.picked.has(o.value)) open.picked.delete(o.value);
  else if (m.several.max === 1) open.picked = new Set([o.value]);
  else if (open.picked.size < m.several.max) open.picked.add(o.value);
  client.redraw();
}

// place opens a list where there is room for it: upwards, or to the left, and no
// higher than what is seen around it.
function place(el) {
  const frame = (el.closest('[data-scrolls]') ?? document.documentElement).getBoundingClientRect();
  const trigger = el.parentElement.getBoundingClientRect();
  const below = Math.min(frame.bottom, innerHeight) - trigger.bottom - GAP;
  const above = trigger.top - Math.max(frame.top, 0) - GAP;
  const up = el.offsetHeight > below && above > below;
  el.toggleAttribute('data-up', up);
  el.toggleAttribute('data-left', trigger.left + el.offsetWidth > frame.right - GAP);
  el.style.maxHeight = `${Math.max(LEAST, Math.min(el.offsetHeight, up ? above : below))}px`;
}

function keys(client, m) {
  let letters = '';
  return event => {
    const options = [...event.currentTarget.querySelectorAll('.menu-option')];
    const at = options.indexOf(document.activeElement);
    const go = i => only(() => options[(i + options.length) % options.length]?.focus())(event);
    switch (event.key) {
      case 'ArrowDown': return go(at + 1);
      case 'ArrowUp': return go(at < 0 ? -1 : at - 1);
      case 'Home': return go(0);
      case 'End': return go(-1);
      case 'Escape': return only(() => close(client, m))(event);
      case 'Tab': return close(client, m, false);
      default:
        if (event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.metaKey) {
          letters += event.key.toLowerCase();
          setTimeout(() => { letters = ''; }, 700);
          const i = m.options.findIndex(o => o.text.toLowerCase().includes(letters));
          if (i >= 0) go(i);
        }
    }
  };
}

// A press beside an open menu closes it.
export function closeOutside(client) {
  document.addEventListener('pointerdown', event => {
    if (client.menu && !event.target.closest?.('.menu-host.is-open')) client.menu.close();
  });
}
