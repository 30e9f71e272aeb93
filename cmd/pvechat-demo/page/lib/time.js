// Times as people read them, in their own zone.

import { h } from './dom.js';

const format = options => {
  const f = new Intl.DateTimeFormat('en-GB', options);
  return date => f.format(date);
};

export const clock = format({ hour: '2-digit', minute: '2-digit' });
export const clockSeconds = format({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
const numeric = format({ day: '2-digit', month: '2-digit', year: 'numeric' });
export const short = format({ day: 'numeric', month: 'short' });
const medium = format({ day: 'numeric', month: 'short', year: 'numeric' });
export const long = format({ day: 'numeric', month: 'long', year: 'numeric' });
const full = format({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const sortable = date => date.toISOString().slice(0, 10);

const dayOf = date => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

// daysAgo counts midnights: 0 is today, 1 yesterday.
const daysAgo = date => Math.round((dayOf(new Date()) - dayOf(date)) / 86_400_000);

// pretty is "today" or "yesterday" where that is shorter.
function pretty(date, otherwise) {
  return { 0: 'today', 1: 'yesterday', '-1': 'tomorrow' }[daysAgo(date)] ?? otherwise(date);
}

export const day = date => capital(pretty(date, full));
export const sameDay = (a, b) => dayOf(a) === dayOf(b);
export const moment = date => `${full(date)}, ${clockSeconds(date)}`;

const capital = s => s.charAt(0).toUpperCase() + s.slice(1);

const ages = new Intl.RelativeTimeFormat('en');
const steps = [['second', 60], ['minute', 60], ['hour', 24], ['day', 30], ['month', 12], ['year', Infinity]];

function age(date) {
  let n = (date - Date.now()) / 1000;
  for (const [unit, limit] of steps) {
    if (Math.abs(Math.round(n)) < limit) return ages.format(Math.round(n), unit);
    n /= limit;
  }
  return '';
}

// A relative time counts by itself: see tick.
const relative = date => h('time.relative', { 'data-at': date.getTime(), datetime: date.toISOString(), title: moment(date) }, age(date));

// tick keeps every relative time under root true.
export function tick(root) {
  return setInterval(() => {
    for (const el of root.querySelectorAll('time.relative')) {
      const text = age(new Date(Number(el.dataset.at)));
      if (el.firstChild?.data !== text) el.firstChild.data = text;
    }
  }, 1000);
}

const slackTokens = {
  date_num: sortable, date: long, date_slash: numeric, date_short: medium, date_long: full,
  date_pretty: d => pretty(d, long), date_short_pretty: d => pretty(d, short), date_long_pretty: d => pretty(d, full),
  day_divider_pretty: day, time: clock, time_secs: clockSeconds,
};

// slackDate is a moment by Slack's format; null for a token that Slack does not
// have, where Slack shows the fallback.
export function slackDate(seconds, pattern) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const out = [];
  let from = 0;
  for (const token of pattern.matchAll(/\{([a-z_]+)\}/g)) {
    const say = token[1] === 'ago' ? relative : slackTokens[token[1]];
    if (!say) return null;
    out.push(pattern.slice(from, token.index), say(date));
    from = token.index + token[0].length;
  }
  out.push(pattern.slice(from));
  if (out.some(part => part?.tag)) return h('span', null, out);
  return h('time', { datetime: date.toISOString(), title: moment(date) }, out);
}

const discordStyles = {
  t: clock, T: clockSeconds, d: numeric, D: long, f: d => `${long(d)} ${clock(d)}`, F: d => `${full(d)} ${clock(d)}`,
  s: d => `${numeric(d)}, ${clock(d)}`, S: d => `${numeric(d)}, ${clockSeconds(d)}`,
};

// discordTime is a <t:…> mark; null where it means nothing.
export function discordTime(seconds, style) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  if (style === 'R') return relative(date);
  return h('time', { datetime: date.toISOString(), title: moment(date) }, discordStyles[style || 'f'](date));
}
