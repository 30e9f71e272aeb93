// Package proxmoxtest is a simulator of the Proxmox VE API for a cluster of LXC containers. It serves the tests and the demo.
//
// It speaks HTTP/1.1 and JSON only, over TLS with a certificate of its own, and shares no type with the client that it tests. What
// it answers follows the sources of pve-manager 9.2, pve-container 6.1, pve-http-server 6.0 and pve-common 9.2, and its tables of
// parameters and privileges are held against Proxmox' published schema by a test.
//
// The zero [Server] works: one node, no containers, instant tasks, and any well-formed API token is an administrator. Faults are
// switched on by methods ([Server.Down], [Server.Stall], [Server.Fail], [Server.CutAfterBytes], [Server.Latency], [Server.Hold]), waits are
// Await methods, and a request that the simulator does not know is answered as Proxmox answers it and kept in [Server.Unexpected],
// so that a test can fail on it.
//
// What is kept true to the real server, because clients trip over it:
//
//   - Errors travel in the reason phrase of the status line. Every answer of 400 and above closes the connection; a 401 comes 3 s
//     late and without a body; the body's "message" exists from 8.4 on only.
//   - GET /cluster/resources lists the guests, locks, tags and pools of this moment with figures that are up to 10 s old. Figures
//     older than 300 s are dropped: the row stays, without a name.
//   - Power calls return a task. Checks happen partly before it (an immediate 500) and partly in it (its exit status). A task holds
//     the container's lock; a second one gives up after 10 s.
//   - Under HA a start or stop is only a request: its task ends at once, the state follows later.
//   - A request for a node that is down is answered 595 by the node that was asked.
//
// Durations are Proxmox' own, multiplied by [Options.Scale]. They run on the runtime's timers, so that the simulator can live in a
// testing/synctest bubble over an in-memory listener.
package proxmoxtest
