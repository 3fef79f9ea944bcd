// SPDX-License-Identifier: Apache-2.0

// Package badinput feeds Plumbline what it must not fall over: a corpus of
// hostile, broken and merely odd inputs at every boundary, all of them to one
// running Plumbline, as real processes on a real cluster.
//
// # What is shown of each input
//
// One typed event, answer or error with a stable code, and a message that says
// what to do: at most 2 KiB, with no secret, no path outside of the repository
// and none of this machine. Nothing is lost and nothing deleted; the healthy
// applications beside it converge; every process is the one that was started.
// An input that is valid must converge. At the end no revision has been said to
// fail twice, or for two reasons, but where what is wrong became something else.
//
// # An archive
//
// corpus/<section>/<name>.txtar is one input; <section>-<name> names it among
// all, and is what an application that it is is called. The comment says in a
// sentence what the input is and what it attacks. The files are
//
//	in/<path>    a file of the input: of the application's repository, of the
//	             fleet, a body, a kubeconfig
//	generate     how large and binary parts are made: see [Input.Tree]
//	want         what must become of it: see [Want]
//	declaration  the application, where it isn't the usual one
//	server       how a Git server misbehaves, or what a kubeconfig leads to
//	commit       a commit as it is sent
//	request      a request to the webhook, before its body
//	message      a message on the bus
//	cluster      what is done in the cluster
//	answer       how Slack answers
//	late         why it is given when the others of its section were told
//
// In them ${name} stands for <section>-<name>. want has lines of "key: value":
//
//	event    short name of the type of the event that is awaited
//	reason   its code
//	says     a part of its message; may stand more than once
//	then     a part of what is said later, once something else is wrong
//	file     the file that it names, and
//	line     the line of it
//	object   the object that it names, as Kind/name
//	live     resource, name, JSON pointer and JSON value that the cluster must hold
//	status   the status of an HTTP answer
//	exit     the code that a process exits with
//
// # Canaries
//
// A text that holds "canary" stands for a secret: it must not be found in any
// event, log or answer, in clear or, where it has 12 bytes from there on, in
// whatever test/canary sees through, as the base64 of a Secret's values.
package badinput
