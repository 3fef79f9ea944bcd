// SPDX-License-Identifier: Apache-2.0

// Package gitserver serves real Git repositories on loopback, over smart HTTP
// (git http-backend behind net/http) and over SSH (git upload-pack and
// receive-pack behind an SSH server), on free ports.
//
// Tests and the demo push to it and read from it as from any Git host, and
// can make it misbehave: refuse credentials, answer with an error, redirect,
// hang, disappear. It counts what it is asked for.
//
// It needs the git command, and no testing.T: [Start] is for programs,
// [New] for tests.
package gitserver
