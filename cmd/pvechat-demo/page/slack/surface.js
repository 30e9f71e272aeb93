// A surface is a message, a modal or the Home tab: what a person chose in it, and
// where what they do goes.

const valueOf = state => state?.value ?? state?.selected_option?.value ?? state?.selected_options?.map(o => o.value);

// takesSeveral says whether an element's value is a list.
export const takesSeveral = e => e.type === 'checkboxes' || e.type === 'multi_static_select';

function initial(e) {
  if (takesSeveral(e)) return (e.initial_options ?? []).map(o => o.value);
  return e.initial_value ?? e.initial_option?.value ?? null;
}

class Surface {
  constructor(client, id, at) {
    this.client = client;
    this.id = id;
    this.at = at;
  }

  controlID(block, e) { return `${this.id} ${block.block_id} ${e.action_id}`; }
  isBusy(block, e) { return this.client.busy.has(this.controlID(block, e)); }

  click(block, e) { this.#ask(e, decline => this.send('click', block, e, { decline })); }

  choose(block, e, value) {
    this.#ask(e, decline => {
      if (!decline) this.keep(block, e, value);
      if (block.type !== 'input' || block.dispatch_action) this.send('choose', block, e, { value, decline });
      else this.client.redraw();
    });
  }

  // #ask puts a control's own question first.
  #ask(e, proceed) {
    if (!e.confirm) return proceed(false);
    this.client.question = { ...e.confirm, from: document.activeElement, answer: yes => proceed(!yes) };
    this.client.redraw();
  }

  send(path, block, e, more) {
    return this.client.act(path, { at: this.at, block_id: block.block_id, action_id: e.action_id, ...more }, this.id, this.controlID(block, e));
  }
}

// In a message, what was chosen is the client's own until the message is edited.
export class MessageSurface extends Surface {
  constructor(client, channel, message) {
    super(client, message.ts, { channel, ts: message.ts });
    this.edited = message.edited;
  }

  #key(block, e) { return `${this.controlID(block, e)} ${this.edited}`; }
  value(block, e) { return this.client.chosen.get(this.#key(block, e)) ?? initial(e); }

  keep(block, e, value) {
    if (e.type === 'overflow') return;
    this.client.chosen.set(this.#key(block, e), takesSeveral(e) ? toggled(this.value(block, e), value) : value);
  }

  type() {} // no message has a field
}

// In a view, what was typed stays while its ids stay, whatever the bot replaces.
export class ViewSurface extends Surface {
  constructor(client, view, at) {
    super(client, view.id, at);
    this.view = view;
    const refused = client.errors.get(view.id);
    this.errors = refused?.hash === view.hash ? refused.errors : view.errors;
    if (!client.drafts.has(view.id)) client.drafts.set(view.id, new Map());
    this.draft = client.drafts.get(view.id);
    const there = new Set(view.blocks.map(b => b.block_id));
    for (const key of this.draft.keys()) if (!there.has(key)) this.draft.delete(key);
  }

  value(block, e) {
    if (this.draft.has(block.block_id)) return this.draft.get(block.block_id);
    const state = this.view.state?.values?.[block.block_id]?.[e.action_id];
    return state ? valueOf(state) : initial(e);
  }

  keep(block, e, value) {
    if (block.type !== 'input') return; // the bot is told, and the view's state has it
    this.draft.set(block.block_id, takesSeveral(e) ? toggled(this.value(block, e), value) : value);
  }

  type(block, e, value) {
    this.draft.set(block.block_id, value);
    this.client.page.redraw();
  }

  // values are what the server is told of the inputs.
  values() {
    return Object.fromEntries([...this.draft].map(([id, v]) => [id, Array.isArray(v) ? v.join(',') : v ?? '']));
  }

  // With an act in a modal goes what is typed in it.
  async send(path, block, e, more) {
    if (!more.decline && this.at.view && this.draft.size > 0) await this.client.act('type', { view: this.view.id, values: this.values() }, this.id);
    return super.send(path, block, e, more);
  }

  async submit() {
    this.client.errors.delete(this.view.id);
    const answer = await this.client.act('submit', { view: this.view.id, values: this.values() }, this.id, `${this.id} submit`);
    if (answer?.errors) this.client.errors.set(this.view.id, { hash: this.view.hash, errors: answer.errors });
    this.client.redraw();
  }

  close() { return this.client.act('close', { view: this.view.id }, this.id); }
}

function toggled(list, value) {
  const on = list ?? [];
  return on.includes(value) ? on.filter(v => v !== value) : [...on, value];
}
