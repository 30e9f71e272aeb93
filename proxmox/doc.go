// Package proxmox is a client for the part of the Proxmox VE API that runs LXC
// containers, for versions 7 to 9.
//
// It exists because clients in use drop what a chat bot has to show (the
// reasons of errors, the measures of containers, the warnings of tasks) or do
// what it must not do (send a change twice). What it promises:
//
//   - A change is sent once. It goes to another address only where no
//     connection could be made, so that nothing can have arrived; [NotSent]
//     tells that case from all others. Every change has a connection of its own.
//   - A question is asked again, of each configured address, while none
//     answers. An address that failed is tried last for a minute. A node that is
//     down behind one that answers (595 to 599) is an answer.
//   - No redirect is followed, and no answer of more than 64 MiB is read.
//   - Whether a number comes as 1, "1", "" or null does not matter. A field that
//     can by no means be meant is named in a [*DecodeError].
//   - The token's secret is in no error, even where the server repeats it, and
//     in nothing that is printed.
//
// A [Client] starts nothing that has to be stopped; connections are kept for
// less than 5 s, which is when pveproxy closes them.
package proxmox
