// Package slack connects the bot to a Slack workspace over Socket Mode.
//
// It decodes what people do into [chat.Invocation], shows what the bot answers
// as messages, modals and App Home, and owns everything that is Slack's:
// limits, escapes, triggers, response addresses and rate limits.
package slack
