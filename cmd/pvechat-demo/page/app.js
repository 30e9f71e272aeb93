// The page: two chat clients and the cluster, drawn from what the simulators have
// received, for one person at a time.

import { draw, h } from './lib/dom.js';
import { follow, get, post } from './lib/api.js';
import { closeOutside } from './lib/menu.js';
import { settle } from './lib/feed.js';
import { tick } from './lib/time.js';
import { Slack } from './slack/slack.js';
import { Discord } from './discord/discord.js';
import { Faults } from './faults.js';
import { Payload } from './payload.js';
import { proxmox } from './proxmox.js';
import { Tour } from './tour.js';

const themes = { auto: 'Auto', light: 'Light', dark: 'Dark' };

class Page {
  constructor(root) {
    this.root = root;
    this.people = [];
    this.person = null;
    this.tries = [];
    this.state = null;
    this.online = true;
    this.trouble = null; // what went wrong, for the person to read
    this.pane = 'slack'; // which is shown where only one fits
    this.restarting = false;
    this.drawn = false; // whether a drawing is due already
    this.clients = { slack: new Slack(this), discord: new Discord(this) };
    this.faults = new Faults(this);
    this.payload = new Payload(this);
    this.tour = new Tour(this);
    this.theme = remembered('theme') ?? 'auto';
    this.triesHidden = remembered('tries') === 'hidden';
  }

  async start() {
    this.#dress();
    tick(this.root);
    Object.values(this.clients).forEach(closeOutside);
    try {
      const hello = await get('/api/hello');
      this.people = hello.people;
      this.tries = hello.tries ?? [];
      this.pane = hello.platforms[0];
      this.sit(this.people[0].id);
    } catch (error) {
      this.complain(error.message);
    }
    this.redraw();
    this.faults.load();
  }

  // sit lets somebody else sit down before both clients.
  sit(person) {
    this.leave?.();
    this.person = person;
    this.state = null;
    Object.values(this.clients).forEach(c => c.forget());
    this.leave = follow(person, state => this.take(state), online => {
      this.online = online;
      this.redraw();
    });
    this.redraw();
  }

  take(state) {
    this.state = state;
    for (const [name, client] of Object.entries(this.clients)) if (state[name]) client.take(state[name]);
    this.redraw();
  }

  complain(text) {
    this.trouble = text;
    this.redraw();
  }

  async restart() {
    this.restarting = true;
    this.redraw();
    try {
      await post('/api/restart', {});
    } catch (error) {
      this.complain(error.message);
    }
    this.restarting = false;
    this.redraw();
  }

  // look shows a pane where only one fits, and leads to it.
  look(pane) {
    this.pane = pane;
    this.redraw();
    requestAnimationFrame(() => this.root.querySelector(`.pane-${pane}`)?.scrollIntoView({ block: 'nearest' }));
  }

  // say types a command in the first channel of the client that is looked at.
  say(text) {
    const names = Object.keys(this.clients).filter(name => this.state?.[name]);
    if (!names.includes(this.pane)) this.look(names[0]);
    const client = this.clients[this.pane];
    const { id } = client.state.channels.find(c => !c.direct);
    client.show(id);
    return client.say(id, text);
  }

  hideTries() {
    this.triesHidden = true;
    remember('tries', 'hidden');
    this.redraw();
  }

  payloadButton(platform, channel, id) { return this.payload.button(platform, channel, id); }

  // redraw draws soon, and once for all that happens until then. A page that is
  // not looked at is drawn all the same, for those who drive it.
  redraw() {
    if (this.drawn) return;
    this.drawn = true;
    queueMicrotask(() => {
      this.drawn = false;
      draw(this.root, this.#view());
      settle(this.root);
      this.#refocus();
    });
  }

  // #refocus gives the focus back to what opened a dialog that is gone.
  #refocus() {
    for (const [name, client] of Object.entries(this.clients)) {
      const layered = this.root.querySelector(`[data-platform=${name}] > .client-frame[inert]`) !== null;
      if (client.layered && !layered && document.activeElement === document.body && client.opener?.isConnected) client.opener.focus();
      client.layered = layered;
    }
  }

  #view() {
    const { state } = this;
    const panes = state ? ['slack', 'discord', 'proxmox'].filter(p => state[p]) : [];
    return [
      this.#bar(),
      state && this.tour.strip(),
      panes.length > 0 && h('nav.panes', { 'aria-label': 'What to see' }, panes.map(p => h('button', {
        type: 'button', 'data-pane': p, 'aria-pressed': String(this.pane === p), onclick: () => { this.pane = p; this.redraw(); },
      }, { slack: 'Slack', discord: 'Discord', proxmox: 'Proxmox' }[p]))),
      h('main.desk', { class: `shows-${this.pane}`, 'data-count': panes.length },
        panes.map(p => h('div.pane', { key: p, class: `pane-${p}` }, p === 'proxmox' ? proxmox(state.proxmox) : this.clients[p].draw())),
        !state && h('p.waiting', null, this.online ? 'Starting…' : 'Looking for the demo…')),
      this.#toast(),
      this.payload.dialog(),
    ];
  }

  #bar() {
    return h('header.bar', null,
      h('h1', null, h('span.tile', { 'aria-hidden': 'true' }, 'PVE'), 'pvechat', h('small', null, 'the real bot, simulated servers')),
      h('div.people', { role: 'group', 'aria-label': 'Who you are' }, h('span.people-label', null, 'You are'), this.people.map(p => h('button.who', {
        key: p.id, type: 'button', 'data-person': p.id, 'aria-pressed': String(this.person === p.id), onclick: () => this.sit(p.id),
      }, p.name, h('small', null, p.role)))),
      h('div.tools', null,
        this.tour.button(),
        this.faults.button(),
        h('button.tool', { type: 'button', disabled: this.restarting, onclick: () => this.restart(), 'aria-label': this.restarting ? 'Restarting…' : 'Restart bot', title: 'Stops the bot in an orderly way and starts it again' }, this.restarting ? 'Restarting…' : ['Restart', h('span.wide', null, ' bot')]),
        h('button.tool', { type: 'button', 'aria-label': `Theme: ${themes[this.theme]}`, onclick: () => this.#turn() }, `◐ ${themes[this.theme]}`)),
      this.faults.panel());
  }

  #turn() {
    const names = Object.keys(themes);
    this.theme = names[(names.indexOf(this.theme) + 1) % names.length];
    remember('theme', this.theme);
    this.#dress();
    this.redraw();
  }

  #dress() {
    if (this.theme === 'auto') delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = this.theme;
  }

  #toast() {
    const text = this.trouble ?? (this.state && !this.online ? 'The demo does not answer. Trying again…' : null);
    return h('div.toasts', { role: 'alert' }, text && h('div.toast', null, text,
      this.trouble && h('button.tool', { type: 'button', 'aria-label': 'Dismiss', onclick: () => this.complain(null) }, '×')));
  }
}

// What is remembered is a comfort: without storage the page works as well.
function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

function remember(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // not remembered, then
  }
}

new Page(document.getElementById('app')).start();
