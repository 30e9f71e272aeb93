// Package discord is the chat adapter for Discord: it turns what people do there
// into invocations, and answers into messages of Components V2 and modals.
package discord
