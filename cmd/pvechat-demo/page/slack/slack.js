// Slack's client, as it draws what the bot sent.

import { h, lazy } from '../lib/dom.js';
import { Client, initials } from '../lib/client.js';
import { composer, tries } from '../lib/composer.js';
import { feed, moreBelow } from '../lib/feed.js';
import { clock, day, moment, sameDay } from '../lib/time.js';
import { blocks } from './blocks.js';
import { home, modal, notice, question } from './modal.js';
import { mrkdwn, textObject } from './mrkdwn.js';
import { MessageSurface } from './surface.js';

const TOGETHER = 5 * 60; // seconds within which messages of one author share a head
const HOME = 'home';

export class Slack extends Client {
  constructor(page) { super('slack', page); }

  forget() {
    super.forget();
    this.drafts = new Map(); // by view and block, what is typed and not sent
    this.errors = new Map(); // by view, why a form was not taken
    this.question = null;
    this.openThreads = new Set();
    this.names = {};
  }

  // take is called with every new state.
  take(state) {
    this.state = state;
    this.names = state.names ?? {};
    const open = new Set(state.views.map(v => v.id).concat(state.home?.id ?? []));
    for (const id of this.drafts.keys()) if (!open.has(id)) this.drafts.delete(id);
    this.channel ??= (state.channels.find(c => !c.direct) ?? state.channels[0])?.id ?? null;
    this.watch(state.channels, m => m.ts, m => m.text);
  }

  text(t) { return textObject(t, this.names); }

  draw() {
    const { state } = this;
    const above = this.question || state.views.length > 0;
    const channel = state.channels.find(c => c.id === this.channel);
    return h('section.client.slack', { 'data-platform': 'slack', 'aria-label': 'Slack' },
      h('div.client-frame', { inert: above },
        this.#sidebar(),
        h('div.s-main', null,
          this.#head(channel),
          this.channel === HOME ? home(this, state.home) : this.#room(channel))),
      state.views.length > 0 && h('div.s-layer', { inert: this.question !== null }, modal(this, state.views.at(-1), state.views.length > 1)),
      question(this),
      h('div.sr-only', { 'aria-live': 'polite' }, this.announced));
  }

  #sidebar() {
    const { channels, connected } = this.state;
    const direct = channels.filter(c => c.direct);
    return h('nav.s-side', { 'aria-label': 'Slack channels' },
      h('div.s-team', null, h('span', null, 'Slack'), presence(connected)),
      h('div.s-side-list', null,
        h('div.s-side-title', null, 'Channels'),
        channels.filter(c => !c.direct).map(c => this.#entry(c.id, '#', c.name)),
        h('div.s-side-title', null, 'Apps'),
        this.#entry(HOME, '⌂', 'Home'),
        direct.map(c => this.#entry(c.id, '✦', this.state.bot.name))));
  }

  #entry(id, sign, name) {
    const unread = this.unread.get(id);
    return h('button.s-entry', {
      key: id, type: 'button', 'data-channel': id, 'aria-current': this.channel === id ? 'page' : null, class: unread ? 'has-unread' : null,
      onclick: () => (id === HOME ? this.#openHome() : this.show(id)),
    }, h('span.s-sign', { 'aria-hidden': 'true' }, sign), h('span.s-entry-name', null, name), unread && h('span.s-badge', { 'aria-label': `${unread} new` }, unread));
  }

  #openHome() {
    this.show(HOME);
    this.act('home', {}, HOME);
  }

  #head(channel) {
    if (channel && !channel.direct) return h('header.s-head', null, h('h2', null, h('span.s-hash', null, '#'), channel.name));
    const direct = this.state.channels.find(c => c.direct);
    const tab = (label, on, go) => h('button.s-tab', { type: 'button', 'aria-pressed': String(on), onclick: go }, label);
    return h('header.s-head.s-app-head', null, this.#avatar(this.state.bot.name, true, 'small'), h('h2', null, this.state.bot.name),
      h('div.s-tabs', null,
        tab('Home', this.channel === HOME, () => this.#openHome()),
        direct && tab('Messages', this.channel === direct.id, () => this.show(direct.id))),
      this.channel === HOME && notice(this, HOME));
  }

  #room(channel) {
    if (!channel) return h('div.s-home-empty', null, 'No channel here.');
    const roots = channel.messages.filter(m => !isReply(m, channel));
    return h('div.s-room', { key: channel.id },
      feed(this, channel.id, channel.messages.length, roots.length > 0
        ? roots.map((m, i) => this.#message(channel, m, roots[i - 1]))
        : h('div.s-empty', null, h('b', null, channel.direct ? this.state.bot.name : `# ${channel.name}`), h('p', null, 'Nothing was said here yet. Press one of the commands below, then Enter.'))),
      moreBelow(),
      notice(this, channel.id),
      tries(this, channel.id, this.page.tries),
      composer(this, {
        channel: channel.id, placeholder: `Message ${channel.direct ? this.state.bot.name : '#' + channel.name}`,
        suggest: text => this.#suggest(text), ready: () => true, send: text => this.say(channel.id, text),
      }));
  }

  #suggest(text) {
    if (!text.startsWith('/')) return [];
    const known = [{ fill: '/pve ', title: '/pve', note: 'Proxmox containers' }];
    for (const t of this.page.tries) if (t.startsWith('/pve ')) known.push({ fill: t, title: t });
    return known.filter(o => o.fill.trim().startsWith(text) && o.fill !== text);
  }

  say(channel, text) {
    const command = /^\/pve(?:\s+|$)/.exec(text);
    if (command) return this.act('command', { channel, text: text.slice(command[0].length) }, channel);
    this.notices.set(channel, text.startsWith('/') ? `${text.split(/\s/)[0]} is not a valid command.` : 'Only commands go anywhere in this demo: begin with /pve.');
    return null;
  }

  #message(channel, m, before, reply = false) {
    const { name } = this.#author(m);
    const at = new Date(parseFloat(m.ts) * 1000);
    const newDay = !reply && (!before || !sameDay(at, new Date(parseFloat(before.ts) * 1000)));
    const joins = !newDay && before && before.from === m.from && !m.ephemeral && !before.ephemeral && replies(before, channel).length === 0
      && m.ts - before.ts < TOGETHER;
    return [
      newDay && h('div.s-day', { key: `day ${m.ts}` }, h('span', null, day(at))),
      lazy('article.s-message', {
        key: m.ts, 'data-message': m.ts, 'data-private': m.ephemeral, class: joins ? 'joins' : null, 'aria-label': `${name}, ${clock(at)}`,
      }, [m, joins, this.version, ...(reply ? [] : replies(m, channel))], () => this.#inside(channel, m, joins, reply)),
    ];
  }

  #inside(channel, m, joins, reply) {
    const at = new Date(parseFloat(m.ts) * 1000);
    const { name, app } = this.#author(m);
    return [
      joins ? h('time.s-gutter', { title: moment(at) }, clock(at)) : this.#avatar(name, app),
      h('div.s-content', null,
        m.ephemeral && h('div.s-private', null, eye(), 'Only visible to you'),
        !joins && h('div.s-by', null, h('b', null, name), app && h('span.s-app', null, 'APP'), h('time', { title: moment(at) }, clock(at))),
        m.blocks?.length > 0 ? blocks(m.blocks, new MessageSurface(this, channel.id, m)) : h('div.b-text', null, mrkdwn(m.text, this.names)),
        notice(this, m.ts),
        !reply && this.#thread(channel, m)),
      this.page.payloadButton('slack', channel.id, m.ts),
    ];
  }

  #author(m) {
    const bot = this.state.bot.name;
    const name = this.names[m.from] ?? bot;
    return { name, app: name === bot };
  }

  #thread(channel, root) {
    const all = replies(root, channel);
    if (all.length === 0) return null;
    const open = this.openThreads.has(root.ts);
    return h('div.s-thread', null,
      h('button.s-replies', {
        type: 'button', 'aria-expanded': String(open),
        onclick: () => {
          if (!this.openThreads.delete(root.ts)) this.openThreads.add(root.ts);
          this.redraw();
        },
      }, `${all.length} ${all.length === 1 ? 'reply' : 'replies'}`, h('span', null, open ? 'Hide thread' : 'View thread')),
      open && all.map((m, i) => this.#message(channel, m, all[i - 1], true)));
  }

  #avatar(name, app, size) {
    return h('span.avatar', { class: [app ? 'is-app' : `is-person-${name.length % 4}`, size].filter(Boolean).join(' '), 'aria-hidden': 'true' }, initials(name));
  }
}

const isReply = (m, channel) => Boolean(m.thread_ts) && m.thread_ts !== m.ts && channel.messages.some(root => root.ts === m.thread_ts);
const replies = (root, channel) => channel.messages.filter(m => m.thread_ts === root.ts && m.ts !== root.ts);

const presence = on => h('span.presence', { class: on ? 'is-on' : null, role: 'img', 'aria-label': on ? 'The bot is connected' : 'The bot is not connected', title: on ? 'The bot is connected' : 'The bot is not connected' });

const eye = () => h('svg.s-eye', { viewBox: '0 0 20 20', width: '13', height: '13', 'aria-hidden': 'true' },
  h('path', { d: 'M1.5 10S4.5 4.5 10 4.5 18.5 10 18.5 10 15.5 15.5 10 15.5 1.5 10 1.5 10Z', fill: 'none', stroke: 'currentColor', 'stroke-width': '1.6' }),
  h('circle', { cx: '10', cy: '10', r: '2.5', fill: 'currentColor' }));
