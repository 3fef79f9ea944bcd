// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"strings"
	"time"

	"github.com/plumbline-dev/plumbline/events"
)

// The samples are one story: a commit to shop-web, its convergence, a hand
// edit, and what else can happen. Their goldens are the examples in
// docs/events.md.

var (
	noon       = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	commitID   = "3f786850e387550fdab836ed7e6dc881de23001b"
	treeID     = "89e6c98d92887913cadf06b2adb97f26cde4849b"
	previousID = "2b66fd261ee5c6cfc8de7fa466bab600bcfe4f69"
	bundle     = "sha256:" + strings.Repeat("b1", 32)
	digest     = "sha256:" + strings.Repeat("0d", 32)
	deployment = events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	configMap  = events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: "web"}
	change     = events.Change{Commit: commitID, Author: "Ada Lovelace", When: noon.Add(-time.Minute), Sequence: 4711}
)

func at(offset time.Duration) time.Time { return noon.Add(offset) }

func blob(name string, size int64) events.Blob {
	return events.Blob{Name: "plumbline.blob." + name, Digest: "sha256:" + strings.Repeat("c4", 32), Size: size, Chunks: 1}
}

func sampleRevision() events.Revision {
	ada := events.Person{Name: "Ada Lovelace", Email: "ada@example.com", When: time.Date(2026, 3, 14, 13, 59, 0, 0, time.FixedZone("", 2*3600))}
	return events.Revision{
		Commit: commitID, Tree: treeID, Ref: "refs/heads/main", Author: ada, Committer: ada,
		Title: "Scale web to <4 & >2", Signature: events.Signature{Verdict: "unsigned"},
		Previous: previousID, Cause: "commit", Trigger: "webhook",
	}
}

func sampleDeclaration() events.Declaration {
	return events.Declaration{
		Application: "shop-web",
		Source:      events.SourceSpec{Repository: "shop", URL: "https://git.example.com/shop.git", Branch: "main", Path: "deploy/web"},
		Cluster:     "local", Namespace: "shop", CreateNamespace: true,
		Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(5 * time.Minute)},
		Deletion: events.DeletionDelete,
		Audit: events.Audit{Heal: true, AlertAfter: events.Duration(2 * time.Minute), Ignore: []events.IgnoreRule{
			{Kind: "Deployment", Path: "/spec/replicas"},
		}},
		Recipient: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
		File:      "fleet/shop.yaml", Line: 6,
	}
}

func sampleManifests() events.Manifests {
	return events.Manifests{
		Revision: sampleRevision(), Declaration: sampleDeclaration(), DeclarationDigest: digest,
		Digest: bundle, Bundle: blob("renderer.local.b1", 3120),
		Objects: events.DeclaredObjects{Count: 2, Items: []events.DeclaredObject{
			{Object: configMap, Digest: digest, File: "deploy/web/config.yaml", Line: 1, Since: change},
			{Object: deployment, Digest: digest, File: "deploy/web/web.yaml", Line: 12, Since: change},
		}},
		ReadSet: events.ReadSet{Digest: digest, Paths: 4}, Renderer: "0.1.0",
	}
}

func sampleConverging() events.Converging {
	return events.Converging{Revision: sampleRevision(), Digest: bundle, Cause: "revision"}
}

func sampleApplied(object events.Object, action events.Action) events.AppliedObjects {
	return events.AppliedObjects{Count: 1, Items: []events.AppliedObject{{Object: object, Action: action, Digest: digest, UID: "6f0cf6c1-3a0f-4f9e-8f7e-0a9a3d0f3c11", Fields: digest}}}
}

func sampleDivergence() events.Divergence {
	return events.Divergence{
		Key: "9c1185a5c5e9fc54612808977ee8f548", Kind: events.DivergenceChanged, Object: &deployment, Since: at(time.Hour),
		Digest: bundle, Revision: sampleRevision(),
		Fields:     []events.FieldDifference{{Path: "/spec/template/spec/containers/0/image", Desired: `"shop/web:1.4"`, Live: `"shop/web:1.3"`}},
		FieldCount: 1,
		Writer:     &events.Writer{Manager: "kubectl-set", Operation: "Update", Time: at(time.Hour)},
		File:       "deploy/web/web.yaml", Line: 12, Declared: change, Heal: true,
		Message: "kubectl-set changed the image of Deployment.apps/shop/web; deploy/web/web.yaml:12 declares another one",
	}
}

func sampleFailure() events.ObjectFailure {
	return events.ObjectFailure{Object: deployment, APIReason: "Invalid", Message: "spec.replicas: must not be negative", File: "deploy/web/web.yaml", Line: 12}
}

// samples has a payload of every type, by short name.
func samples() map[string]events.Payload {
	all := map[string]events.Payload{}
	for _, p := range append(sourceSamples(), convergenceSamples()...) {
		all[events.TypeOf(p).Name()] = p
	}
	return all
}

func sourceSamples() []events.Payload {
	return []events.Payload{
		&events.CommitObserved{Revision: sampleRevision(), Declaration: sampleDeclaration(), DeclarationDigest: digest, Source: blob("watcher.source.5e", 48213), FleetCommit: previousID},
		&events.CommitRejected{Repository: "shop", Ref: "refs/heads/main", Commit: commitID, Author: sampleRevision().Author, Reason: events.ReasonSourceTooLarge, Message: "The tree has 812 MB, and at most 256 MB are taken."},
		&events.SourceUnreachable{Repository: "shop", URL: "https://git.example.com/shop.git", Reason: events.ReasonUnreachable, Message: "git.example.com doesn't answer.", Since: noon, Applications: []string{"shop-web"}},
		&events.SourceRecovered{Repository: "shop", URL: "https://git.example.com/shop.git", Since: noon, After: events.Duration(90 * time.Second)},
		&events.FleetObserved{URL: "https://git.example.com/fleet.git", Path: "fleet", Commit: previousID, Count: 12, Held: 1, List: blob("watcher.fleet.local.1f", 1640), Rejections: []string{"0f2d3c4b5a69788796a5b4c3d2e1f001"}, RejectionCount: 1},
		&events.FleetRejected{Kind: "Application", Name: "shop-web", File: "fleet/shop.yaml", Commit: previousID, Holds: []string{"shop-web"}, HeldCount: 1, Problems: []events.Problem{
			{Line: 14, Field: "spec.converge.prun", Message: "is not known here; known are mode, prune, timeout"},
		}},
		&events.ManifestsRendered{Manifests: sampleManifests(), RecoveredFrom: 4709},
		&events.ManifestsUnchanged{Manifests: sampleManifests()},
		&events.RenderFailed{Revision: sampleRevision(), Declaration: sampleDeclaration(), Reason: events.ReasonSyntax, Message: "deploy/web/web.yaml:14: mapping values are not allowed here", File: "deploy/web/web.yaml", Line: 14},
		&events.AlertDelivered{Channel: "C024BE91L", Thread: "1773489600.000100", Message: "1773489720.000200", Event: "divergence.persisted-5d41402abc4b2a76b9719d911017c592", Place: 4710, Says: "divergence.persisted divergence-changed " + commitID, Since: noon},
		&events.AlertFailed{Channel: "#shop", Event: "divergence.persisted-5d41402abc4b2a76b9719d911017c592", Reason: events.ReasonTokenRefused, Message: "Slack refuses the token."},
		&events.MessageRejected{Service: "renderer", Subject: "plumbline.v1.commit.observed.local.shop-web", Stored: 4711, Reason: events.ReasonBadEvent, Message: "The body is no JSON.", Original: &events.Blob{Name: "plumbline.blob.renderer.rejected.77", Digest: digest, Size: 12, Chunks: 1}},
		&events.SyncRequested{By: "ada"},
		&events.ApprovalGiven{Hold: digest, By: "ada"},
	}
}

func convergenceSamples() []events.Payload {
	counts := events.Counts{Configured: 1, Unchanged: 1}
	return []events.Payload{
		&events.ConvergenceApplied{Converging: sampleConverging(), Counts: counts, Objects: sampleApplied(deployment, events.ActionConfigured), Requests: 1},
		&events.ConvergenceCompleted{Converging: sampleConverging(), Counts: counts, After: events.Duration(2300 * time.Millisecond)},
		&events.ConvergenceFailed{Converging: sampleConverging(), Reason: events.ReasonRefused, Message: "The API server refuses Deployment.apps/shop/web.", Failures: []events.ObjectFailure{sampleFailure()}, Failed: 1},
		&events.ConvergenceDegraded{Converging: sampleConverging(), Reason: events.ReasonUnhealthy, Message: "1 of 3 replicas is available.", Failures: []events.ObjectFailure{{Object: deployment, Message: "1 of 3 replicas is available."}}},
		&events.ConvergenceHeld{Converging: sampleConverging(), Reason: events.ReasonProtectedKind, Message: "A PersistentVolumeClaim would be deleted.", Hold: digest, Objects: sampleApplied(events.Object{Version: "v1", Kind: "PersistentVolumeClaim", Namespace: "shop", Name: "data"}, events.ActionHeld)},
		&events.ConvergenceSuperseded{Converging: sampleConverging(), By: 4712},
		&events.ConvergenceRolledBack{Converging: sampleConverging(), From: digest, Reason: events.ReasonUnhealthy},
		&events.ApplicationWithdrawn{Outcome: events.ActionPruned, Fleet: previousID, Objects: sampleApplied(configMap, events.ActionPruned), Since: noon},
		&events.DivergenceDetected{Divergence: sampleDivergence()},
		&events.DivergencePersisted{Divergence: sampleDivergence(), After: events.Duration(2 * time.Minute)},
		&events.AuditLimited{Count: 1, Objects: []events.LimitedObject{{Object: events.Object{Version: "v1", Kind: "Secret", Namespace: "shop", Name: "db"}, Reason: events.ReasonForbidden, Message: "Secret/shop/db is not audited: the auditor may not read Secrets in namespace shop."}}},
		&events.DivergenceResolved{Divergence: sampleDivergence(), After: events.Duration(150 * time.Second), How: "healed", Persisted: true},
	}
}

// sample is the whole event around a sample payload.
func sample(t *events.Type, p events.Payload) events.Event {
	cause := events.Cause{ID: "tip/shop/refs/heads/main/" + commitID, Order: events.Order{Epoch: "k3x9q2", Sequence: 4711}}
	a := events.Address{Cluster: "local", Application: "shop-web"}
	switch t.Scope {
	case events.ScopeCluster:
		a.Application = ""
	case events.ScopeKey:
		a.Key = "9c1185a5c5e9fc54612808977ee8f548"
	}
	cluster := a.Cluster
	switch t.Emitter {
	case "watcher", "renderer", "notifier", "operator", "any":
		cluster = ""
	}
	switch t.Noun {
	case "source":
		a = events.Address{Key: "shop"}
	case "fleet":
		if t.Verb == "rejected" {
			a = events.Address{Key: "1b0f7f3e5a54d9a3c1c2a3f4b5d6e7f8"}
		}
	case "message":
		a.Key = "renderer"
	case "sync":
		a.Cluster = ""
	}
	emitter := t.Emitter
	if emitter == "any" {
		emitter = "renderer"
	}
	return events.Event{
		ID: events.ID(cause, t, a, ""), Source: events.Source(emitter, cluster), Type: t, Address: a, Time: at(1500 * time.Millisecond),
		Epoch: cause.Epoch, Sequence: cause.Sequence,
		Traceparent:   "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		CorrelationID: "shop-web/" + commitID, CausationID: cause.ID,
		StageStart: at(1200 * time.Millisecond), StageEnd: at(1500 * time.Millisecond),
		Data: p, Stored: 4711,
	}
}
