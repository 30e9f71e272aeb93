import { h } from './dom.js';

// webAddress is url where a browser may go there for a person, else null: never
// a script, never a file.
export function webAddress(url) {
  try {
    const { protocol, href } = new URL(url);
    return ['http:', 'https:', 'mailto:'].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

// outward is what a link to another page needs.
export const outward = url => ({ href: webAddress(url), target: '_blank', rel: 'noopener noreferrer' });

// link is label as a link, and only label where url is none of the web.
export function link(url, label) {
  return webAddress(url) ? h('a', outward(url), label) : label;
}
