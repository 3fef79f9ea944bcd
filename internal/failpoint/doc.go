// SPDX-License-Identifier: Apache-2.0

// Package failpoint lets a test break a process at a named point: where the
// difference between done and not done is one instruction, no signal from
// outside comes in time.
//
// It is there only where the build tag failpoints is given. Without the tag
// [Hit] is empty and is inlined away with the name of its point; a test looks
// for both in the built commands. With it the environment says what breaks:
//
//	PLUMBLINE_FAILPOINTS="applier.after-object=kill@3,bus.after-publish=delay:2s@1"
//
// A rule is point=action, and where @n follows, it holds the n-th time that
// the process comes by the point, and no other. The actions are kill (SIGKILL
// to itself), error (the point returns [ErrInjected]), panic (the point panics)
// and delay:d (it waits for d, as time.ParseDuration reads it). What can't be
// read ends the process at its start, with exit code 2.
//
// One point has no rules: it kills a render child that reads a file in which
//
//	plumbline-failpoint: renderer.child-reads=kill
//
// stands, so that an input crashes its worker each time that it is tried.
//
// On linux/amd64 the wall clock of a process can be put off, too, and be made to
// run too fast or too slow, and while it runs: PLUMBLINE_CLOCK names a file that
// says by how much.
//
// Each that is carried out is a line on standard error: "failpoint", the
// point, the action, and the count.
//
// It imports nothing of the module and keeps nothing beyond the process.
package failpoint
