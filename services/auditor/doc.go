// SPDX-License-Identifier: Apache-2.0

// Package auditor compares one cluster with Git and says where they differ.
//
// It consumes fleet.observed, commit.observed, manifests.*, render.failed,
// convergence.*, application.withdrawn and sync.requested, and watches the
// metadata of the kinds that the current bundles hold. It emits
// divergence.detected at once, divergence.persisted once a divergence is older
// than the application's alertAfter, divergence.resolved when it is gone, and
// audit.limited where it may not look. It owns no state: what is open is the
// last event on plumbline.v1.divergence.*.<cluster>.<application>.<key>, and
// each transition is compare-and-set over that filter. What it keeps in memory
// is derived again from the log and the cluster when it starts, and from the log
// where another auditor may have been given events in between.
//
// It writes nothing to the cluster, holds no right to (see [ReadOnlyRole]),
// and heals nothing: the applier consumes divergence.detected.
//
// How a difference is seen. Everything that the applier writes is in its own
// managedFields entry (manager plumbline, operation Apply), and the API server
// takes a path out of it when anyone else writes, changes or removes the
// field. So the metadata of an object tells whether a field of ours was
// touched: the hash of our entry is compared with the one that the applier
// learnt from the API server's answer (convergence.applied), the annotation
// plumbline.dev/object with the object digest of Git's bundle. Only where that
// leaves a doubt does one GET fetch the body, and a semantic comparison of the
// fields that Git declares decides. On first sight, after a watch has lost
// its place, and every few hours, all bodies are compared, from lists, so that
// the auditor leans on the applier's word for speed and not for truth.
package auditor
