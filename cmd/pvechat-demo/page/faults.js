// Faults to switch on, so that one sees how the bot takes them.

import { h, only } from './lib/dom.js';
import { get, post } from './lib/api.js';

export class Faults {
  constructor(page) {
    this.page = page;
    this.open = false;
    this.list = [];
  }

  get count() { return this.list.filter(f => f.on).length; }

  async toggle() {
    this.open = !this.open;
    this.page.redraw();
    if (this.open) await this.load();
  }

  async load() {
    try {
      this.list = await get('/api/faults');
    } catch (error) {
      this.page.complain(error.message);
    }
    this.page.redraw();
  }

  async set(fault, on, target = '') {
    try {
      await post('/api/fault', { name: fault.name, on, target });
    } catch (error) {
      this.page.complain(error.message);
    }
    await this.load();
  }

  // flip switches one that has no targets to what it is not.
  flip(name) {
    const fault = this.list.find(f => f.name === name);
    return this.set(fault, !fault.on);
  }

  button() {
    return h('button.tool', {
      type: 'button', 'aria-expanded': String(this.open), 'aria-controls': 'faults', onclick: () => this.toggle(), class: this.count ? 'is-hot' : null,
    }, 'Faults', this.count > 0 && h('span.count', null, this.count));
  }

  panel() {
    if (!this.open) return null;
    return h('aside.faults', {
      id: 'faults', 'aria-label': 'Faults', tabindex: '-1', mounted: el => el.focus(),
      onkeydown: event => { if (event.key === 'Escape') only(() => this.toggle())(event); },
    },
    h('header', null, h('h2', null, 'Faults'), h('button.tool.close', { type: 'button', 'aria-label': 'Close', onclick: () => this.toggle() }, '×')),
    h('p', null, 'What goes wrong at night. Switch one on, and look at what the bot says.'),
    this.list.map(f => h('div.fault', { key: f.name }, f.targets.length > 0
      ? h('div.fault-targets', { role: 'group', 'aria-label': f.label }, h('span', null, f.label), f.targets.map(t => this.#switch(f, f.active.includes(t), t)))
      : this.#switch(f, f.on))));
  }

  #switch(f, on, target) {
    return h('label', { key: target },
      h('input.switch', { type: 'checkbox', role: 'switch', checked: on, 'data-fault': f.name, 'data-target': target, onchange: event => this.set(f, event.currentTarget.checked, target) }),
      h('span', null, target ?? f.label));
  }
}
