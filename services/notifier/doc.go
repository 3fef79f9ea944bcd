// SPDX-License-Identifier: Apache-2.0

// Package notifier tells people in Slack what is wrong and when it is over.
//
// It consumes what opens or closes an incident (package incident): commit.*,
// source.*, fleet.*, manifests.*, render.failed, convergence.*,
// application.withdrawn, divergence.persisted, divergence.resolved, and
// sync.requested. It emits alert.delivered where an alert went and alert.failed
// where Slack refuses one for good. It holds the Slack token and no other
// credential, reads of the blobs only the fleet's lists, and writes nothing to a
// cluster or to Git.
//
// An incident has one thread. Its first message says what is wrong, where, who
// did it and what to do; a reply follows when it gets another reason or is of a
// newer revision, and one when it is over, with the first message marked. What
// began and ended before it was told, as a divergence that is healed before its
// alertAfter, is told in one message, already resolved; where there are more
// than a few of them in a minute, the rest is one digest.
//
// It owns no state. An event only says where to look: what is due is decided
// by comparing how the incident stands, by the last events on its subjects,
// with the last alert.delivered about it, when Slack can take a message. So
// after an outage the latest state of each incident is told and no other, and a
// notifier that starts finds what is due the same way. One that is killed
// between Slack's answer and the publishing of alert.delivered tells once more
// what it told last; nothing else is told twice, unless Slack takes a message
// and its answer is lost.
//
// It sends at most one message, or change of one, per second, and waits as
// long as Slack asks it to. Where a message gets no answer of Slack's, Slack is
// asked whether it is there (auth.test). If it isn't, that is an outage: pulling
// pauses, and nobody but the notifier waits. If it is, the message is alone with
// its trouble: it is sent again by itself, and given up after three times, which
// alert.failed says; it has another attempt when Slack takes the next message, and
// when the level is read. Text from clusters and from Git is
// escaped: it mentions nobody and makes no link.
//
// Its metrics are in docs/telemetry.md.
package notifier
