// SPDX-License-Identifier: Apache-2.0

// Package renderer makes bundles of revisions.
//
// It consumes commit.observed, fleet.observed and sync.requested, and emits
// manifests.rendered, manifests.unchanged and render.failed: one of them for
// each revision that was the newest of its application when its turn came. It
// owns the blobs under plumbline.blob.renderer: sealed bundles and long lists
// of objects. It holds no credential but the source key, writes no file, and
// speaks to nothing but the bus.
//
// A revision for which a newer commit.observed of the same application is
// stored already, as far as the consumer has heard, is passed over without an
// event (latest wins). That loses
// nothing: the log keeps the newer one, it is due to the same consumer, and
// its outcome, whichever it is, carries the higher sequence that everyone
// orders by; the resync finds it again should the consumer be made anew.
//
// # How a revision is rendered
//
// The source is decrypted and unpacked in memory, once for all applications
// of a commit. If everything that an application read when it was last
// rendered is the same in the new tree, nothing is rendered: what a render
// asks of the tree, answers that found nothing included, is its read set, and
// a render is a function of that and of its parameters. Else it is rendered
// in a child process that sees the tree alone, through questions that the
// parent answers and records, most of them before they are asked: plain YAML
// and JSON below the application's path, or a kustomization there.
//
// A child has no environment, no files, no HTTP client, no network where the
// kernel allows that, and serves one render at a time. It is killed past its
// time, its memory or its output, and replaced after any of that, after a
// crash and after 500 renders. A Secret's plaintext is held by parent and
// child only; it is sealed before the bundle leaves the process, and no text
// of an error comes from a file. The hash that kustomize puts behind the name of
// a generated Secret is replaced by a keyed one: see suffix.go.
//
// The outcome that is published depends on the revision before by sequence;
// decide.go has the whole table. What the log says of an application is asked for
// once, and then noted with each outcome as it is stored; notes.go has what a note
// is believed for, and for how long. What would make it untrue unnoticed, another
// renderer beside this one, is met by compare-and-set over both kinds of bundles.
package renderer
