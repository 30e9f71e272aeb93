import { h } from './dom.js';

// unknown is drawn for a type that this page does not know: loudly, so that a
// gap between the bot and its picture is never taken for a blank.
export const unknown = (what, type) => h('div.unknown', { 'data-unknown': type, role: 'alert' }, `Unknown ${what}: ${type}`);
