// What happens on the cluster, as Proxmox's own pages tell it.

import { h, lazy } from './lib/dom.js';
import { clock, clockSeconds, moment, sameDay, short } from './lib/time.js';

const jobs = {
  vzcreate: 'Create', vzrestore: 'Restore', vzstart: 'Start', vzstop: 'Stop', vzshutdown: 'Shutdown', vzreboot: 'Reboot', vzdestroy: 'Destroy',
  vzsuspend: 'Suspend', vzresume: 'Resume', vzsnapshot: 'Snapshot', vzdelsnapshot: 'Delete snapshot', vzrollback: 'Rollback',
  vzclone: 'Clone', vzmigrate: 'Migrate', vztemplate: 'Convert to template', vzmount: 'Mount', vzumount: 'Unmount', vzdump: 'Backup', resize: 'Resize',
};

export function proxmox(state) {
  return lazy('section.proxmox', { 'aria-label': 'Proxmox' }, [state], () => [
    h('header.p-head', null, h('h2', null, 'Proxmox VE'), h('span', null, 'the simulated cluster: what really happened')),
    h('div.p-body', null,
      h('div.p-nodes', { tabindex: '0', role: 'group', 'aria-label': 'Nodes and containers' }, state.nodes.map(n => node(n, state.containers))),
      h('div.p-tasks', { tabindex: '0', role: 'group', 'aria-label': 'Tasks' }, tasks(state.tasks))),
  ]);
}

function node(n, containers) {
  const here = containers.filter(c => c.node === n.name).sort((a, b) => a.vmid - b.vmid);
  return h('div.p-node', { key: n.name, class: n.online ? null : 'is-off' },
    h('h3', null, n.name, h('span', null, n.online ? `${here.filter(c => c.status === 'running').length} of ${here.length} running` : 'offline')),
    h('ul', null, here.map(c => h('li.p-guest', { key: c.vmid, class: `is-${c.status}`, title: `CT ${c.vmid} ${c.name ?? ''}: ${c.lock ? `${c.status}, locked (${c.lock})` : c.status}` },
      h('span.p-light', { 'aria-hidden': 'true' }), h('span.p-vmid', null, c.vmid), h('span.p-name', null, c.name || '–'),
      h('span.sr-only', null, c.status), c.lock && h('span.p-lock', null, c.lock)))));
}

function tasks(list) {
  if (list.length === 0) return h('p.p-none', null, 'No task yet. Start or stop a container in one of the chats.');
  const head = ['Time', 'Node', 'Task', 'User', 'Status'];
  return h('table', null,
    h('thead', null, h('tr', null, head.map(t => h('th', { scope: 'col' }, t)))),
    h('tbody', null, list.map(t => h('tr', { key: t.upid, class: outcome(t) },
      h('td', null, time(t.start)), h('td', null, t.node),
      h('td', null, `${t.vmid ? `CT ${t.vmid} – ` : ''}${jobs[t.type] ?? t.type}`), h('td.p-user', { title: t.user }, t.user),
      h('td.p-status', { title: t.exit }, t.end == null ? [h('span.p-spin', { 'aria-hidden': 'true' }), 'running'] : t.exit ?? '–')))));
}

function outcome(t) {
  if (t.end == null) return 'is-running';
  if (t.exit === 'OK') return 'is-ok';
  return t.exit?.startsWith('WARNINGS') ? 'is-warning' : 'is-failed';
}

// A time is given as seconds, or as text.
function time(at) {
  const date = new Date(typeof at === 'number' ? at * 1000 : at);
  return Number.isNaN(date.getTime()) ? '–' : h('time', { title: moment(date) }, sameDay(date, new Date()) ? clockSeconds(date) : `${short(date)} ${clock(date)}`);
}
