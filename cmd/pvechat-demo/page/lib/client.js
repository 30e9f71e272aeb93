// What the drawings of both chat clients have in common: what a person has
// chosen in the client itself, of which the bot knows nothing.

import { post } from './api.js';

const RECENT = 5000; // ms after an act in which its answer may scroll into view

export class Client {
  // page has: person, redraw(), complain(text).
  constructor(platform, page) {
    this.platform = platform;
    this.page = page;
    this.forget();
  }

  // forget is for when somebody else sits down before it.
  forget() {
    this.channel = null; // the id of what is shown
    this.typed = new Map(); // by channel, what stands in the composer
    this.menu = null; // the open menu
    this.busy = new Set(); // places where the bot is being asked
    this.notices = new Map(); // by place, what the client itself says there
    this.chosen = new Map(); // by control, what was picked in a message
    this.known = null; // the messages that were there before, by channel and id
    this.version = 0; // of all of this; what is typed does not count
    this.unread = new Map(); // by channel
    this.announced = '';
    this.acted = 0;
    this.opener = null; // what had the focus when the person last did something
  }

  redraw() {
    this.version++;
    this.page.redraw();
  }

  // act lets the person do something at a place, which shows that it waits and
  // what the client has to say. It returns the answer, null for none.
  async act(path, body, place, wait = place) {
    this.notices.delete(place);
    this.busy.add(wait);
    this.acted = Date.now();
    if (!document.activeElement?.closest('[data-modal], [data-confirm]')) this.opener = document.activeElement;
    this.redraw();
    try {
      const answer = await post(`/api/${this.platform}/${path}`, { person: this.page.person, ...body });
      if (answer.notice) this.notices.set(place, answer.notice);
      return answer;
    } catch (error) {
      this.page.complain(error.message);
      return null;
    } finally {
      this.busy.delete(wait);
      this.acted = Date.now();
      this.redraw();
    }
  }

  get justActed() { return this.busy.size > 0 || Date.now() - this.acted < RECENT; }

  show(channel) {
    this.channel = channel;
    this.menu = null;
    this.unread.delete(channel);
    this.redraw();
  }

  // watch notes what is new in channels, to count and to say it. Messages that are
  // what they were stay the same objects.
  watch(channels, idOf, textOf) {
    const before = this.known;
    this.known = new Map();
    for (const channel of channels) {
      channel.messages = channel.messages.map(message => {
        const id = `${channel.id}/${idOf(message)}`;
        const text = JSON.stringify(message);
        const was = before?.get(id);
        const entry = was?.text === text ? was : { text, message };
        this.known.set(id, entry);
        if (before && !was) this.#arrived(channel, textOf(message));
        return entry.message;
      });
    }
  }

  #arrived(channel, text) {
    this.announced = `${channel.direct ? 'Direct message' : channel.name}: ${text}`;
    if (channel.id !== this.channel) this.unread.set(channel.id, (this.unread.get(channel.id) ?? 0) + 1);
  }
}

// initials are an avatar.
export const initials = name => (name ?? '?').slice(0, 3).toUpperCase();
