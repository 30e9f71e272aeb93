// Emoji: drawn a little larger than the text, as both clients do, and by the
// names that people give them.

import { h } from './dom.js';

const one = '(?:\\p{Emoji_Presentation}|\\p{Emoji}\\uFE0F)\\p{Emoji_Modifier}?';
const sequence = new RegExp(`\\p{Regional_Indicator}{2}|${one}(?:\\u200D${one})*|[0-9#*]\\uFE0F?\\u20E3`, 'gu');

// emojify is text with its emoji as elements.
export function emojify(text) {
  const out = [];
  let from = 0;
  for (const match of text.matchAll(sequence)) {
    out.push(text.slice(from, match.index), h('span.emoji', null, match[0]));
    from = match.index + match[0].length;
  }
  out.push(text.slice(from));
  return out;
}

const names = {
  '+1': '👍', thumbsup: '👍', '-1': '👎', thumbsdown: '👎', tada: '🎉', eyes: '👀', wave: '👋', fire: '🔥', rocket: '🚀',
  smile: '😄', slightly_smiling_face: '🙂', heart: '❤️', bulb: '💡', bell: '🔔', no_bell: '🔕', mute: '🔇',
  white_check_mark: '✅', heavy_check_mark: '✔️', x: '❌', warning: '⚠️', no_entry: '⛔', no_entry_sign: '🚫',
  question: '❓', grey_question: '❔', exclamation: '❗', information_source: 'ℹ️', sos: '🆘',
  large_green_circle: '🟢', green_circle: '🟢', red_circle: '🔴', large_yellow_circle: '🟡', yellow_circle: '🟡',
  large_orange_circle: '🟠', orange_circle: '🟠', large_blue_circle: '🔵', blue_circle: '🔵', white_circle: '⚪', black_circle: '⚫',
  large_green_square: '🟩', green_square: '🟩', large_yellow_square: '🟨', yellow_square: '🟨', large_red_square: '🟥',
  red_square: '🟥', white_large_square: '⬜', black_large_square: '⬛', white_small_square: '▫️', black_small_square: '▪️',
  stop_button: '⏹️', black_square_for_stop: '⏹️', arrow_forward: '▶️', arrows_counterclockwise: '🔄', hourglass: '⌛',
  hourglass_flowing_sand: '⏳', stopwatch: '⏱️', clock3: '🕒', hammer_and_wrench: '🛠️', tools: '🛠️', wrench: '🔧', gear: '⚙️',
  package: '📦', clipboard: '📋', page_facing_up: '📄', memo: '📝', lock: '🔒', key: '🔑', wastebasket: '🗑️', link: '🔗',
  desktop_computer: '🖥️', floppy_disk: '💾', chart_with_upwards_trend: '📈', skull: '💀', ghost: '👻', bug: '🐛',
};

// emojiNamed is the emoji of a name, null where there is none.
export const emojiNamed = name => (Object.hasOwn(names, name) ? names[name] : null);
