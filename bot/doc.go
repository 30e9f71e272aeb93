// Package bot is the process: it queues what people do, refreshes what is
// known of the clusters, and serves health and metrics. Its folders are the
// parts.
//
// # How it hangs together
//
//	cmd → bot → handlers → bot/{jobs,live,view,access,inventory,services,alerts} → bot/chat, proxmox
//
// An adapter (bot/slack, bot/discord) decodes what a person did to a
// chat.Invocation and hands it to the [Dispatcher], which bounds how many are
// under way, drops second deliveries, and asks the router in package handlers.
// The answer is a neutral surface that the adapter renders. Reads are answered
// from the snapshot in memory: no call to Proxmox or into a guest before the
// answer.
//
// Every 30 seconds each cluster is asked once. What changed is stored, told to
// the ops channel where it is an incident, and edited into boards and open
// panels where a person would see a difference.
//
// Every five minutes each running container is looked into over SSH, once for
// all replicas and with a few connections to each node. What was seen is stored;
// the Services tab and the dots of a list are made of that.
//
// # Guarantees
//
//   - A power action or deletion is written down before it is sent, and is
//     never sent twice. After a crash the task list of Proxmox says what became
//     of it.
//   - One container has one open job; of two people who press at once, one
//     hears that the other is at it.
//   - A button belongs to a container of our own naming, not to a VMID: a
//     container that was made anew with an old number is never hit by it.
//   - Every right is checked at every press, whatever the surface shows.
//   - The outcome of an action goes to the person who asked, or nowhere public.
//   - Nothing is sent into a container whose host key is not known, or has
//     changed.
//   - Whoever no rule names may do nothing; no order of rules changes that, and
//     no reload leaves the bot without an admin.
//   - What people did stands in an audit that the database lets nobody change,
//     and whose every line shows whether somebody did.
//   - One id leads from what a person saw to every line of the log about it.
//   - What is wrong is told once, and its end in the same message; also by
//     several replicas, and where one ends in the middle.
//   - A revealed credential is sent to one person and kept nowhere.
//   - One platform's end is not the other's: it is told there, and /readyz says
//     so. On the only platform it ends the process.
//   - A connection that stalls is replaced within two heartbeats and ten seconds
//     on Discord, and is red within 90 seconds on Slack; none is opened in a loop.
//   - Several replicas over one PostgreSQL answer as one: Discord's gateway is
//     held by one of them, a panel is kept fresh by the one that showed it last,
//     and an outcome is told by one at a time.
//   - A channel has one board. It is edited when it looks different, and every
//     five minutes; what does not fit the platform's limits takes turns.
package bot
