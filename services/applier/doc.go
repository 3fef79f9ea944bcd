// SPDX-License-Identifier: Apache-2.0

// Package applier converges one cluster to Git. One applier runs per cluster;
// it alone holds the cluster's write credentials and its decryption key.
//
// It consumes manifests.rendered and manifests.unchanged (what to converge
// to), divergence.detected (what to heal), approval.given (what may be
// deleted although a guard stands before it), fleet.observed (which
// applications are declared) and sync.requested (look now).
//
// It emits convergence.applied, completed, failed, degraded, held and
// superseded, and application.withdrawn.
//
// It owns, in the cluster: the objects of the applications, each with the
// label plumbline.dev/application and the annotation plumbline.dev/object,
// and one ConfigMap per application in the namespace plumbline-system: its
// inventory and fence.
//
// It does not read Git, render, compare values field by field (the auditor
// does), delete and recreate an object that can't be changed in place, or
// remove finalizers. It never writes for an application in mode observe, and
// publishes nothing about it: what is known of such an application comes
// from the auditor.
//
// # Observe, decide, act
//
// Observation costs no request for an object that is ours: one label-filtered
// watch per kind delivers metadata (whole objects, stripped, where health
// needs status). An object seen for the first time is looked up once, by
// metadata: one GET, or one LIST for several of a kind in a namespace.
// [decide] is pure and returns a [Plan], the same thing that a dry run shows.
// Acting costs one PATCH per object that changes and two writes of the
// inventory: one that widens it and raises the fence before the first write,
// one that narrows it and records what the API server returned. Where they
// would say nothing new, as with most heals, the inventory is read once
// instead. A reconciliation that changes nothing sends no request at all.
//
// Between its last write of an object and what it writes down of it the applier
// yields: the objects of other applications come first. See docs/adr/0016 and
// docs/adr/0018.
//
// Of what it has said itself the log isn't asked again, as long as nobody else can
// have said anything: see docs/adr/0014.
//
// # Safety
//
// The fence (epoch, sequence, digest) never goes down, and is written with a
// resourceVersion precondition before the first write and confirmed again
// before each batch. A PATCH of an existing object carries its uid and the
// last seen resourceVersion. Nothing is deleted but what the inventory holds,
// a whole and newer bundle lacks, and the guard lets go; with prune off it
// stays, listed in the inventory, until it is declared again or prune is on.
// What a guard holds stays held, whatever comes, until it is approved or
// declared again.
//
// Before anything is deleted it is known of every other application that the
// fleet lists what its newest revision declares: what moves between two is
// passed on, and is never deleted to be created anew. It stays in the
// inventory, offered, until the other has taken it: one that can't take it, and
// then no longer declares it, leaves nothing behind that is nobody's. Until all
// is known only the deletions wait, at first without a word: the other's
// revision is most often being rendered. It costs nothing where nothing is to
// be deleted, no request for the applications that have the same commit
// already, and one for each of the others.
//
// An application that the fleet's complete list lacks is withdrawn by the
// policy in its inventory. More than 30 % of the cluster's applications at
// once are held; a single one may always be withdrawn while others stay, so
// that one of two can be. A list of a new life of the log withdraws nothing
// before every application that it names was compared in that life. Nothing of
// a withdrawn application is deleted before it is known what each application
// of the list declares: objects pass from a name to the next.
//
// # Writing for health
//
// An application waits for health without a worker: the watches tell of each
// change, and only a change of its state goes through its queue. What a later
// revision, a heal or a retry rolls out is a wait, and no loss of health.
//
// # Fights
//
// From the fourth heal of one object within ten minutes on, healing waits: 2 s,
// then three times as long each time, up to 300 s. The log names the other
// writer; the divergence stays open, so the auditor alerts.
package applier
