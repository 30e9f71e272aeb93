// Package storage keeps everything that pvechat remembers, in PostgreSQL or in
// one SQLite file. [DB] satisfies the small store interfaces that the domain
// packages declare; what they promise holds on both engines, and one test
// suite runs on both.
//
// Guarantees:
//
//   - Times are stored in UTC with microseconds; what is finer is cut off.
//   - Text is stored whatever it holds: NUL bytes and invalid UTF-8 become
//     U+FFFD.
//   - Leases, lifetimes and periods run on the database's clock. A SQLite file
//     belongs to one process, so its clock is that process's.
//   - A migration and its line in the ledger are committed together: a process
//     that dies in between leaves both or neither.
//   - The audit is append-only: the database refuses to change or delete a line.
//     Lines are numbered without a gap, and each carries a code over itself and
//     the line before it: with a key set one that only the key set makes, else a
//     plain hash, which shows accidents, and hands that know nothing of it.
//     Retention removes the oldest lines alone, and leaves a line that says so.
//   - Neither migrating nor repairing loses a row. What happened (events, jobs,
//     incidents) and the containers it happened to are never
//     removed.
//
// A SQLite file is held by a lock on a second file beside it, "<path>.lock",
// which the system releases when its holder dies. Readers need no lock.
package storage
