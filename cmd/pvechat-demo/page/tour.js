// A tour of one minute: what there is to see, with a button that does it. It can be
// taken with the Enter key alone.

import { h, only } from './lib/dom.js';

const steps = [
  {
    title: 'Ask for the board',
    text: 'One message shows every container, to everybody in the channel. It is edited where it stands, when something changes.',
    label: 'Send /pve dashboard', act: page => page.say('/pve dashboard'),
  },
  {
    title: 'Stop one',
    text: 'It asks first. Cancel sends nothing; Stop container sends one task, however often it is pressed.',
    label: 'Send /pve stop photoprism', act: page => page.say('/pve stop photoprism'),
  },
  {
    title: 'See what really happened',
    text: 'The cluster has a pane of its own: its task list tells what was done, and as whom. Nothing is drawn there that did not happen.',
    label: 'Show the cluster', act: page => page.look('proxmox'),
  },
  {
    title: 'Look at a secret',
    text: 'Read from the container over SSH, shown to Ana alone, and taken back after 60 seconds. Choose Ben above, and ask again: he may not.',
    label: 'Send /pve credentials nextcloud', act: page => page.say('/pve credentials nextcloud'),
  },
  {
    title: 'Cut Proxmox off',
    text: 'The board keeps what was last known, says so, and mends itself. More of what goes wrong at night is behind Faults.',
    label: 'Cut it off', again: 'Let it answer', act: page => page.faults.flip('unreachable'),
  },
  {
    title: 'Restart the bot',
    text: 'Boards go on where they stand, without doubles. The button payload beside each message shows the raw request that made it.',
    label: 'Restart the bot', act: page => page.restart(),
  },
];

export class Tour {
  constructor(page) {
    this.page = page;
    this.at = null; // the step
    this.done = false; // what the step does
  }

  button() {
    return h('button.tool', { type: 'button', 'data-tour': '', 'aria-expanded': String(this.at !== null), 'aria-controls': 'tour', onclick: () => this.#go(this.at === null ? 0 : null) }, 'Tour');
  }

  #go(at) {
    this.at = at;
    this.done = false;
    this.page.redraw();
    if (at === null) requestAnimationFrame(() => document.querySelector('[data-tour]')?.focus());
  }

  async #act(step) {
    this.done = true;
    this.page.redraw();
    await step.act(this.page);
    document.querySelector('[data-tour-next]')?.focus(); // not where the act has put it
  }

  strip() {
    if (this.at === null) return null;
    const step = steps[this.at];
    const last = this.at === steps.length - 1;
    const focus = el => el.focus();
    return h('section.tour', {
      id: 'tour', key: `tour ${this.at}`, 'aria-label': `Tour, step ${this.at + 1} of ${steps.length}`, 'data-tour-step': this.at + 1,
      onkeydown: event => { if (event.key === 'Escape') only(() => this.#go(null))(event); },
    },
    h('div.tour-text', { 'aria-live': 'polite' }, h('b', null, h('span.tour-count', null, `${this.at + 1} of ${steps.length}`), step.title), h('span', null, step.text)),
    h('div.tour-buttons', null,
      h('button.tour-do', { type: 'button', 'data-tour-do': '', mounted: focus, onclick: () => this.#act(step) }, this.done && step.again ? step.again : step.label),
      h('button.tool', { type: 'button', 'data-tour-next': '', onclick: () => this.#go(last ? null : this.at + 1) }, last ? 'Finish' : 'Next'),
      h('button.tool.close', { type: 'button', 'aria-label': 'End the tour', onclick: () => this.#go(null) }, '×')));
  }
}
