// SPDX-License-Identifier: Apache-2.0

// Package slackserver stands in for Slack: it takes chat.postMessage,
// chat.update and auth.test on loopback, keeps Slack's rules, and remembers
// what the channel looks like and when each message came.
//
// It refuses what Slack refuses: a wrong token, a channel that isn't there, an
// update or a reply of a message that isn't there, blocks past their limits,
// and, where it is told to, more than one message per second and channel. It
// can be told to fail as Slack does ([Fault]). [Server.String] is the channel
// as text, as it would look.
//
// It is for tests, the demo and end-to-end runs.
package slackserver
