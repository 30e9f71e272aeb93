// Discord's client, as it draws what the bot sent.

import { h, lazy } from '../lib/dom.js';
import { post } from '../lib/api.js';
import { Client, initials } from '../lib/client.js';
import { composer, tries } from '../lib/composer.js';
import { feed, moreBelow } from '../lib/feed.js';
import { clock, day, moment, sameDay } from '../lib/time.js';
import { component, dots } from './components.js';
import { embed } from './embed.js';
import { markdown, plainText } from './markdown.js';
import { inputs, modal, problem } from './modal.js';
import { leaves, read, suggest } from './command.js';

const TOGETHER = 7 * 60_000; // ms within which messages of one author share a head
const V2 = 1 << 15; // the flag of a message that is made of components alone

export class Discord extends Client {
  constructor(page) { super('discord', page); }

  forget() {
    super.forget();
    this.names = {};
    this.form = new Map(); // what is typed in the open form
    this.wrong = new Map(); // what the client has against it
    this.completions = new Map(); // what was suggested, by command, option and word
    this.offered = new Map(); // values, by option and by the name that was offered
  }

  take(state) {
    if (state.modal?.custom_id !== this.state?.modal?.custom_id) {
      this.form.clear();
      this.wrong.clear();
    }
    this.state = state;
    this.names = state.names ?? {};
    this.channel ??= (state.channels.find(c => !c.direct) ?? state.channels[0])?.id ?? null;
    this.watch(state.channels, m => m.id, spoken);
  }

  draw() {
    const { state } = this;
    const channel = state.channels.find(c => c.id === this.channel);
    return h('section.client.discord', { 'data-platform': 'discord', 'aria-label': 'Discord' },
      h('div.client-frame', { inert: state.modal !== null },
        this.#sidebar(),
        h('div.d-main', null, this.#head(channel), this.#room(channel))),
      state.modal && modal(this, state.modal),
      h('div.sr-only', { 'aria-live': 'polite' }, this.announced));
  }

  #sidebar() {
    const { channels, connected, bot } = this.state;
    const entries = direct => channels.filter(c => c.direct === direct).map(c => this.#entry(c, direct ? bot.name : c.name));
    return h('nav.d-side', { 'aria-label': 'Discord channels' },
      h('div.d-server', null, h('span', null, 'Discord'), h('span.presence', {
        class: connected ? 'is-on' : null, role: 'img', 'aria-label': connected ? 'The bot is connected' : 'The bot is not connected', title: connected ? 'The bot is connected' : 'The bot is not connected',
      })),
      h('div.d-side-list', null,
        h('div.d-side-title', null, 'Text channels'), entries(false),
        h('div.d-side-title', null, 'Direct messages'), entries(true)));
  }

  #entry(c, name) {
    const unread = this.unread.get(c.id);
    return h('button.d-entry', {
      key: c.id, type: 'button', 'data-channel': c.id, 'aria-current': this.channel === c.id ? 'page' : null, class: unread ? 'has-unread' : null,
      onclick: () => this.show(c.id),
    }, h('span.d-sign', { 'aria-hidden': 'true' }, c.direct ? '@' : '#'), h('span.d-entry-name', null, name), unread && h('span.d-badge', { 'aria-label': `${unread} new` }, unread));
  }

  #head(channel) {
    return h('header.d-head', null, channel && h('h2', null, h('span.d-hash', null, channel.direct ? '@' : '#'), channel.direct ? this.state.bot.name : channel.name));
  }

  #room(channel) {
    if (!channel) return h('div.d-empty', null, 'No channel here.');
    const where = channel.direct ? `@${this.state.bot.name}` : `#${channel.name}`;
    const notice = this.notices.get(channel.id);
    return h('div.d-room', { key: channel.id },
      feed(this, channel.id, channel.messages.length, [
        channel.messages.length === 0 && h('div.d-empty', null, h('b', null, where), h('p', null, 'Nothing was said here yet. Press one of the commands below, then Enter.')),
        channel.messages.map((m, i) => this.#message(channel, m, channel.messages[i - 1])),
        this.busy.has(channel.id) && h('div.d-sending', { key: 'sending' }, dots(), ' Sending command…'),
        notice && h('div.d-notice', { key: 'notice', role: 'alert' }, notice),
      ]),
      moreBelow(),
      tries(this, channel.id, this.page.tries, text => this.#whole(text)),
      composer(this, {
        channel: channel.id, placeholder: `Message ${where}`,
        suggest: text => this.#suggest(channel.id, text), ready: text => this.#ready(text), send: text => this.say(channel.id, text),
      }));
  }

  // #whole is a command that can be sent: Discord takes none without its subcommand.
  #whole(text) {
    if (text !== '/pve') return text;
    const first = leaves(this.state.commands)[0];
    return first ? `/${first.path.join(' ')}` : text;
  }

  #ready(text) {
    if (!text.startsWith('/')) return true;
    const { leaf, missing } = read(text, this.state.commands);
    return leaf !== null && missing.length === 0;
  }

  #suggest(channel, text) {
    const { commands } = this.state;
    const { leaf, current } = read(text, commands);
    return suggest(text, commands, current ? this.#choices(channel, leaf, current) : []);
  }

  // #choices are what an option takes; those that the bot suggests come later.
  #choices(channel, leaf, { option, typed }) {
    const command = leaf.path.slice(1).join(' ');
    if (option.choices) return this.#remember(option, option.choices).filter(c => c.name.toLowerCase().includes(typed.toLowerCase()));
    if (!option.autocomplete) return [];
    const key = `${channel} ${command} ${option.name} ${typed}`;
    if (this.completions.has(key)) return this.completions.get(key);
    this.completions.set(key, []);
    post('/api/discord/autocomplete', { person: this.page.person, channel, command, option: option.name, typed })
      .then(({ choices }) => {
        this.completions.set(key, this.#remember(option, choices ?? []));
        this.page.redraw();
      })
      .catch(() => this.completions.delete(key));
    return [];
  }

  #remember(option, choices) {
    for (const c of choices) this.offered.set(`${option.name} ${c.name}`, c.value);
    return choices;
  }

  say(channel, text) {
    const { leaf, values, missing, stray } = read(text, this.state.commands);
    const wrong = !text.startsWith('/') ? 'Only commands go anywhere in this demo: begin with /pve.'
      : !leaf ? `There is no command ${text.split(/\s/).slice(0, 2).join(' ')} here.`
        : missing.length > 0 ? `${missing[0].name}: this option is required.`
          : stray !== null ? `/${leaf.path.join(' ')} takes no more than ${leaf.options.length} options.` : null;
    if (wrong) {
      this.notices.set(channel, wrong);
      return null;
    }
    this.completions.clear(); // the next command asks anew
    const options = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, this.offered.get(`${name} ${value}`) ?? value]));
    return this.act('command', { channel, command: leaf.path.slice(1).join(' '), options }, channel);
  }

  #message(channel, m, before) {
    const at = new Date(m.created);
    const name = this.#name(m);
    const newDay = !before || !sameDay(at, new Date(before.created));
    const joins = !newDay && before.author === m.author && !m.reference && !m.ephemeral && !before.ephemeral && at - new Date(before.created) < TOGETHER;
    const to = m.reference ? channel.messages.find(other => other.id === m.reference) : null;
    return [
      newDay && h('div.d-day', { key: `day ${m.id}` }, h('span', null, day(at))),
      lazy('article.d-message', {
        key: m.id, 'data-message': m.id, 'data-private': m.ephemeral, class: [joins && 'joins', m.reference && 'is-reply'].filter(Boolean).join(' ') || null,
        'aria-label': `${name}, ${clock(at)}`,
      }, [m, joins, to, this.version], () => this.#inside(channel, m, name, joins, to)),
    ];
  }

  #inside(channel, m, name, joins, to) {
    const at = new Date(m.created);
    const notice = this.notices.get(m.id);
    return [
      m.reference && this.#reference(to),
      joins ? h('time.d-gutter', { title: moment(at) }, clock(at)) : h('span.avatar.is-app', { 'aria-hidden': 'true' }, initials(name)),
      h('div.d-content', null,
        !joins && h('div.d-by', null, h('b', null, name), h('span.d-app', null, 'APP'), h('time', { title: moment(at) }, `${day(at)} at ${clock(at)}`)),
        m.loading ? h('div.d-thinking', { role: 'status' }, dots(), ` ${name} is thinking…`) : this.#body(m, new MessageSurface(this, channel.id, m)),
        notice && h('div.d-notice', { role: 'alert' }, notice),
        m.ephemeral && h('div.d-private', null, h('span.emoji', { 'aria-hidden': 'true' }, '👁️'), ' Only you can see this · ',
          h('button.d-dismiss', { type: 'button', onclick: () => this.act('dismiss', { channel: channel.id, message: m.id }, m.id) }, 'Dismiss message'))),
      this.page.payloadButton('discord', channel.id, m.id),
    ];
  }

  #name(m) { return this.names[m.author] ?? this.state.bot.name; }

  #body(m, surface) {
    return [
      m.content && h('div.d-text', null, markdown(m.content, this.names), m.edited > 0 && !(m.flags & V2) && h('span.d-edited', null, ' (edited)')),
      m.embeds?.map(e => embed(e, this.names)),
      h('div.d-components', null, m.components?.map(c => component(c, surface))),
    ];
  }

  #reference(to) {
    return h('div.d-reference', null, to
      ? [h('b', null, this.#name(to)), h('button', { type: 'button', onclick: event => lead(event.currentTarget, to.id) }, spoken(to).slice(0, 120))]
      : h('i', null, 'Original message was deleted'));
  }

  fill(id, value) {
    this.form.set(id, value);
    this.wrong.delete(id);
    this.page.redraw();
  }

  submit(m) {
    const values = Object.fromEntries(inputs(m).map(i => [i.custom_id, this.form.get(i.custom_id) ?? i.value ?? '']));
    this.wrong = new Map(inputs(m).map(i => [i.custom_id, problem(i, values[i.custom_id])]).filter(([, p]) => p));
    if (this.wrong.size > 0) this.redraw();
    else this.act('submit', { values }, 'modal', 'submit');
  }
}

// spoken is what a message says, for those who hear it.
function spoken(m) {
  const words = c => [c.content && plainText(c.content), ...(c.components ?? []).map(words)].filter(Boolean).join(' ');
  return [m.content && plainText(m.content), ...(m.embeds ?? []).map(e => e.title ?? e.description), ...(m.components ?? []).map(words)].filter(Boolean).join(' ').replace(/\s+/g, ' ');
}

function lead(from, id) {
  const target = from.closest('.feed').querySelector(`[data-message="${CSS.escape(id)}"]`);
  target?.scrollIntoView({ block: 'center' });
  target?.animate([{ background: 'rgb(88 101 242 / 30%)' }, { background: 'transparent' }], 1500);
}

// What was picked in a message is the client's own until the message is edited.
class MessageSurface {
  constructor(client, channel, message) {
    this.client = client;
    this.at = { channel, message: message.id };
    this.message = message;
  }

  controlID(c) { return `${this.message.id} ${c.custom_id}`; }
  isBusy(c) { return this.client.busy.has(this.controlID(c)); }
  #key(c) { return `${this.controlID(c)} ${this.message.edited}`; }

  picked(c) {
    return new Set(this.client.chosen.get(this.#key(c)) ?? c.options.filter(o => o.default).map(o => o.value));
  }

  // file is where a file of the message is; an edit may bring another of its name.
  file(name) {
    const of = { person: this.client.page.person, ...this.at, name, edited: this.message.edited };
    return `/api/discord/file?${new URLSearchParams(of)}`;
  }

  click(c) { return this.client.act('click', { ...this.at, custom_id: c.custom_id }, this.message.id, this.controlID(c)); }

  choose(c, values) {
    this.client.chosen.set(this.#key(c), values);
    return this.client.act('choose', { ...this.at, custom_id: c.custom_id, values }, this.message.id, this.controlID(c));
  }
}
