// SPDX-License-Identifier: Apache-2.0

// Package provision makes the bus what the files in deploy/nats say: streams,
// consumers, and the epoch of the log. It is what services may not do
// themselves, and it runs under the user provisioner.
//
// [Apply] may be called as often as one likes: it changes what differs and
// nothing else. It writes a random epoch into the log's metadata when it
// creates the log, and another when the log ends before a place that was seen
// in its epoch, or holds another event there: it was restored from a backup, and
// the places after its end would be given out twice. A mark of what was seen that
// can't be read is no mark, and the log gets another epoch, too.
//
// A consumer that the server can't change in place is deleted and created.
//
// [Sweep] deletes blobs that no kept event reaches. Users and keys are the
// server's own configuration and not this package's; nor does it ever delete a
// stream or an event.
package provision
