// SPDX-License-Identifier: Apache-2.0

// Package watcher sees what changes in Git and says so on the bus.
//
// It reads the fleet, a folder of declarations in a Git repository, and
// watches every repository that the fleet declares: one listing of refs per
// repository and poll, however many applications share it, and an incremental
// fetch into a bare mirror of what is new.
//
// Consumes: sync.requested ("look now"), and POST /webhook/<repository>, which
// means the same. It hears manifests.rendered, manifests.unchanged and
// render.failed, by which it knows what is in force.
//
// Emits: commit.observed for each application with a new revision, those whose
// path or declaration changed first and with a head start; commit.rejected for a
// commit over a limit; fleet.observed, the complete list for each cluster;
// fleet.rejected for each declaration that is refused; source.unreachable and
// source.recovered, one pair per outage.
//
// Owns: Git credentials, the source key's encrypting half, the mirrors on
// local disk, and the blobs of sources and fleet lists.
//
// It does not render, hold a cluster's credentials, follow a redirect to
// another host, or take anything back: a repository that can't be read, a ref
// that is gone and a declaration that is refused leave everything as it was.
//
// # What survives what
//
// The truth is Git and the last commit.observed of each application: what to
// publish is decided from those two alone (see decide), so a restart at any
// point compares them again. Publishing is a compare-and-set on the
// application's own subject; two watchers by mistake are one watcher with
// more traffic. A log that is lost begins a new epoch, in which everything is
// published again with the cause "log". Where an application's newest commit
// can't be rendered, the last revision that can is said before it, and the newest
// once more after that: what was said since an application was rendered is
// written down before it is published (see chronicle), beside the mirrors. The
// mirrors may be lost at any time.
// What the fleet declared before, which holds an application whose declaration
// is now invalid, is kept beside the mirrors, and is read from the bus, or
// from the history of the fleet, where it is lost.
//
// # Credentials
//
// DIR/<repository>/{username,password,identity,known_hosts,ca.crt}, read for
// each connection. The fleet repository's folder is DIR/fleet; a declared
// repository with the fleet's URL is read with it too, and no repository with
// another URL may be called fleet. Webhook secrets are files DIR/<repository>,
// and DIR/fleet, read for each request.
//
// A file:// repository may be declared only by a fleet that is itself read
// from a directory: otherwise whoever writes the fleet could read this
// machine's.
package watcher
