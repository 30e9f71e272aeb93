// A channel's messages, which stay at their end while a person is there.

import { h } from './dom.js';

const NEAR = 48; // px from the end that still count as the end

// feed describes the scrolling list of a channel. While it is at its end it stays
// there; else a new message is offered, not forced, unless the person has just
// done something that it answers.
export function feed(client, key, count, items) {
  return h('div.feed', {
    key, tabindex: '0', role: 'log', 'aria-label': 'Messages', 'aria-live': 'off', 'data-scrolls': 'feed', 'data-count': count,
    mounted: el => {
      Object.assign(el, { ending: true, counted: count, client, was: 0 });
      new ResizeObserver(() => toEnd(el)).observe(el);
      el.addEventListener('load', () => toEnd(el), true); // of a picture in it
      toEnd(el);
    },
    onscroll: event => scrolled(event.currentTarget),
  }, items);
}

function toEnd(el) {
  if (el.ending) el.scrollTop = el.scrollHeight;
}

// Only who scrolls up leaves the end: what grows below them does not take them
// away from it.
function scrolled(el) {
  const up = el.scrollTop < el.was;
  el.was = el.scrollTop;
  if (el.scrollHeight - el.scrollTop - el.clientHeight < NEAR) {
    el.ending = true;
    el.parentElement.removeAttribute('data-more');
  } else if (up) {
    el.ending = false;
  }
}

// settle is called after the page was redrawn.
export function settle(root) {
  for (const el of root.querySelectorAll('.feed')) {
    const count = Number(el.dataset.count);
    const more = count > el.counted;
    el.counted = count;
    if (more && el.client.justActed) el.ending = true;
    toEnd(el);
    if (more && !el.ending) el.parentElement.setAttribute('data-more', '');
  }
}

// moreBelow leads to messages that came while the person was reading others.
export const moreBelow = () => h('button.more-below', {
  type: 'button',
  onclick: event => {
    const el = event.currentTarget.parentElement.querySelector('.feed');
    el.ending = true;
    toEnd(el);
  },
}, '↓ New messages');
