// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

// sceneClock is the time at which the commands look at a scene.
var sceneClock = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// scene publishes events whose times are all given, those of their stages
// included, so that what a command prints of them is always the same.
type scene struct {
	conns    map[string]jetstream.JetStream
	dial     func(user string) *nats.Conn
	epoch    string
	begin    time.Time
	revision map[string]events.Event // application → its last commit.observed
	digest   map[string]string       // application → its last bundle
	last     events.Event
}

func newScene(t *testing.T, server *bustest.Server) *scene {
	l, err := server.Connect(t, "reader").Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &scene{
		conns: map[string]jetstream.JetStream{}, dial: func(user string) *nats.Conn { return server.Dial(t, user) },
		epoch: l.Epoch, begin: sceneClock, revision: map[string]events.Event{}, digest: map[string]string{},
	}
}

// span is when the work of a stage was, before the scene's clock.
type span struct{ ago, took time.Duration }

// put publishes what user did.
func (s *scene) put(user, source string, a events.Address, when span, data events.Payload) error {
	js := s.conns[user]
	if js == nil {
		var err error
		if js, err = jetstream.New(s.dial(user)); err != nil {
			return err
		}
		s.conns[user] = js
	}
	start := s.begin.Add(-when.ago)
	cause := events.CauseOf(s.last)
	about := s.revision[a.Application]
	e := events.Event{
		ID:     events.ID(events.Cause{ID: fmt.Sprint(cause.ID, start)}, events.TypeOf(data), a, ""),
		Source: "plumbline://" + source, Type: events.TypeOf(data), Address: a, Time: start, StageStart: start, StageEnd: start.Add(when.took),
		Epoch: s.epoch, Sequence: about.Sequence, Traceparent: about.Traceparent, CorrelationID: a.Application, CausationID: cause.ID, Data: data,
	}
	if c, ok := data.(*events.CommitObserved); ok {
		e.Sequence, e.Traceparent = 0, fmt.Sprintf("00-%.32s-%.16s-01", c.Revision.Commit, c.Revision.Commit)
	}
	headers, body, err := events.Encode(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Timeout)
	defer cancel()
	ack, err := js.PublishMsg(ctx, &nats.Msg{Subject: e.Type.Subject(a), Header: headers, Data: body})
	if err != nil {
		return err
	}
	e.Stored = ack.Sequence
	if _, ok := data.(*events.CommitObserved); ok {
		e.Sequence = ack.Sequence
		s.revision[a.Application] = e
	}
	s.last = e
	return nil
}

// steps are published one after the other.
func (s *scene) steps(all ...func() error) error {
	for _, step := range all {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// app is one application of a scene.
type app struct {
	*scene
	name string
}

func (a app) at(key string) events.Address {
	return events.Address{Cluster: local, Application: a.name, Key: key}
}

func (a app) observed(ago time.Duration, commit, title, author, trigger string) func() error {
	return func() error {
		return a.put("watcher", "watcher", a.at(""), span{ago, 240 * time.Millisecond}, &events.CommitObserved{
			Revision: events.Revision{
				Commit: commit, Tree: commit, Ref: "refs/heads/main", Title: title, Trigger: trigger, Cause: "commit",
				Author: events.Person{Name: author, When: a.begin.Add(-ago)}, Committer: events.Person{Name: author, When: a.begin.Add(-ago)},
				Signature: events.Signature{Verdict: "unsigned"},
			},
			Declaration: events.Declaration{
				Application: a.name, Cluster: local, Namespace: "shop", Deletion: events.DeletionDelete,
				Source:   events.SourceSpec{Repository: "shop", Branch: "main", Path: "deploy/" + a.name},
				Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(5 * time.Minute)},
				Audit:    events.Audit{Heal: true, AlertAfter: events.Duration(2 * time.Minute)},
			},
			DeclarationDigest: bundleX, FleetCommit: commitA, Source: events.Blob{Name: "plumbline.blob.watcher.source.s", Digest: bundleX, Size: 48213, Chunks: 1},
		})
	}
}

func (a app) rendered(ago time.Duration, digest string) func() error {
	return func() error {
		a.digest[a.name] = digest
		c := a.revision[a.name].Data.(*events.CommitObserved)
		return a.put("renderer", "renderer", a.at(""), span{ago, 120 * time.Millisecond}, &events.ManifestsRendered{Manifests: events.Manifests{
			Revision: c.Revision, Declaration: c.Declaration, DeclarationDigest: c.DeclarationDigest, Digest: digest,
			Bundle: events.Blob{Name: "plumbline.blob.renderer.local.b", Digest: digest, Size: 2310, Chunks: 1}, Renderer: "test",
			Objects: events.DeclaredObjects{Count: 3}, ReadSet: events.ReadSet{Digest: bundleX, Paths: 4},
		}})
	}
}

func (a app) converging(cause string) events.Converging {
	return events.Converging{Revision: a.revision[a.name].Data.(*events.CommitObserved).Revision, Digest: a.digest[a.name], Cause: cause}
}

func (a app) applied(ago time.Duration, cause string, counts events.Counts, requests int) func() error {
	return func() error {
		return a.put("applier-local", "applier/local", a.at(""), span{ago, 85 * time.Millisecond},
			&events.ConvergenceApplied{Converging: a.converging(cause), Counts: counts, Requests: requests, Objects: events.AppliedObjects{Count: 3}})
	}
}

func (a app) completed(ago time.Duration, cause string, after time.Duration) func() error {
	return func() error {
		return a.put("applier-local", "applier/local", a.at(""), span{ago, time.Millisecond},
			&events.ConvergenceCompleted{Converging: a.converging(cause), Counts: events.Counts{Configured: 1, Unchanged: 2}, After: events.Duration(after)})
	}
}

func (a app) edited(ago time.Duration) events.Divergence {
	return events.Divergence{
		Key: "0a0b0c", Kind: events.DivergenceChanged, Since: a.begin.Add(-ago), Digest: a.digest[a.name],
		Revision: a.converging("").Revision,
		Object:   &events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
		Fields:   []events.FieldDifference{{Path: "/spec/replicas", Desired: "5", Live: "1"}}, FieldCount: 1,
		Writer: &events.Writer{Manager: "kubectl-scale", Operation: "Update"},
		File:   "deploy/web/deployment.yaml", Line: 8, Heal: true,
		Message: "Deployment.apps/shop/web: /spec/replicas was changed by kubectl-scale",
	}
}

func (a app) diverge(ago time.Duration, data events.Payload) func() error {
	return func() error {
		return a.put("auditor-local", "auditor/local", a.at("0a0b0c"), span{ago, 2 * time.Millisecond}, data)
	}
}

// healed is a hand edit that was put right.
func (a app) healed(ago time.Duration) func() error {
	return func() error {
		d := a.edited(ago)
		return a.steps(
			a.diverge(ago, &events.DivergenceDetected{Divergence: d}),
			a.applied(ago-60*time.Millisecond, "heal", events.Counts{Configured: 1, Unchanged: 2}, 1),
			a.completed(ago-200*time.Millisecond, "heal", 0),
			a.diverge(ago-318*time.Millisecond, &events.DivergenceResolved{Divergence: d, After: events.Duration(320 * time.Millisecond), How: "healed"}),
		)
	}
}

// persists is a hand edit that nobody puts right.
func (a app) persists(ago time.Duration) func() error {
	return func() error {
		d := a.edited(ago)
		d.Heal = false
		return a.steps(
			a.diverge(ago, &events.DivergenceDetected{Divergence: d}),
			a.diverge(ago-2*time.Minute, &events.DivergencePersisted{Divergence: d, After: events.Duration(2 * time.Minute)}),
		)
	}
}

func (a app) renderFailed(ago time.Duration) func() error {
	return func() error {
		c := a.revision[a.name].Data.(*events.CommitObserved)
		return a.put("renderer", "renderer", a.at(""), span{ago, 40 * time.Millisecond}, &events.RenderFailed{
			Revision: c.Revision, Declaration: c.Declaration, Reason: events.ReasonSyntax,
			Message: "did not find expected key", File: "deploy/" + a.name + "/web.yaml", Line: 12,
		})
	}
}

func (a app) refused(ago time.Duration) func() error {
	return func() error {
		return a.put("applier-local", "applier/local", a.at(""), span{ago, 70 * time.Millisecond}, &events.ConvergenceFailed{
			Converging: a.converging("revision"), Reason: events.ReasonRefused, Message: "the API server refuses 1 of 3 objects", Failed: 1,
			Failures: []events.ObjectFailure{{
				Object: events.Object{Version: "v1", Kind: "Service", Namespace: "shop", Name: a.name}, APIReason: "Invalid",
				Message: "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535", File: "deploy/" + a.name + "/service.yaml", Line: 1,
			}},
		})
	}
}

func (a app) held(ago time.Duration) func() error {
	return func() error {
		return a.put("applier-local", "applier/local", a.at(""), span{ago, 30 * time.Millisecond}, &events.ConvergenceHeld{
			Converging: a.converging("revision"), Reason: events.ReasonPruneGuard, Message: "5 of 6 objects would be deleted, more than half; all of them are held", Hold: holdD,
		})
	}
}

const (
	commitD = "d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4d1a2b3c4"
	commitE = "e0f1a2b3e0f1a2b3e0f1a2b3e0f1a2b3e0f1a2b3"
)

// refusedCommit is one that the watcher doesn't take.
func (a app) refusedCommit(ago time.Duration, commit string) func() error {
	return func() error {
		return a.put("watcher", "watcher", a.at(""), span{ago, 30 * time.Millisecond}, &events.CommitRejected{
			Repository: "shop", Ref: "refs/heads/main", Commit: commit, Author: events.Person{Name: "Eve", When: a.begin},
			Reason: events.ReasonSignature, Message: "it is not signed by anybody who may",
		})
	}
}

// told is an alert that was delivered about an incident of the application.
func (a app) told(ago time.Duration, kind incident.Kind, key, thread string) func() error {
	return func() error {
		about := incident.Scope{Kind: kind, Address: a.at(key)}
		return a.put("notifier", "notifier", about.Alert(), span{ago, 90 * time.Millisecond}, &events.AlertDelivered{
			Channel: "#deploys", Thread: thread, Event: a.last.ID, Place: a.last.Stored, Since: a.last.Time,
		})
	}
}

// scenes are what scripts and docs/cli.md look at.
var scenes = map[string]func(*scene) error{
	// twin is a commit that begins like one of the shop's, and is refused.
	"twin": func(s *scene) error {
		return app{s, "shop-web"}.refusedCommit(time.Minute, "d1a2ffffd1a2ffffd1a2ffffd1a2ffffd1a2ffff")()
	},
	// shop is a morning of a shop: five applications, each in a state of its
	// own.
	"shop": func(s *scene) error {
		web, api := app{s, "shop-web"}, app{s, "shop-api"}
		db, mail := app{s, "shop-db"}, app{s, "shop-mail"}
		pay := app{s, "shop-payments-gateway-europe-west-production"}
		const ms = time.Millisecond
		return s.steps(
			web.observed(180*time.Minute, commitA, "Begin", "Ada Lovelace", "start"),
			web.rendered(180*time.Minute-260*ms, bundleX),
			web.applied(180*time.Minute-400*ms, "revision", events.Counts{Created: 3}, 3),
			web.completed(180*time.Minute-1240*ms, "revision", 1240*ms),
			web.observed(65*time.Minute, commitB, "Two probes", "Grace Hopper", "webhook"),
			web.renderFailed(65*time.Minute-250*ms),
			api.observed(50*time.Minute, commitA, "Begin", "Ada Lovelace", "start"),
			api.rendered(50*time.Minute-260*ms, bundleX),
			api.applied(50*time.Minute-400*ms, "revision", events.Counts{Created: 3}, 3),
			api.completed(50*time.Minute-1240*ms, "revision", 1240*ms),
			web.observed(40*time.Minute, commitC, "Revert \"Two probes\"", "Grace Hopper", "webhook"),
			web.observed(40*time.Minute-150*ms, commitD, "Five replicas", "Grace Hopper", "webhook"),
			web.rendered(40*time.Minute-420*ms, bundleY),
			web.applied(40*time.Minute-560*ms, "revision", events.Counts{Configured: 1, Unchanged: 2}, 1),
			web.completed(40*time.Minute-1760*ms, "revision", 1610*ms),
			web.healed(25*time.Minute),
			db.observed(15*time.Minute, commitE, "Serve on port 0", "Alan Turing", "poll"),
			db.rendered(15*time.Minute-260*ms, bundleY),
			db.refused(15*time.Minute-400*ms),
			db.told(15*time.Minute-900*ms, incident.Convergence, "", "1773488700.000100"),
			db.refused(10*time.Minute),
			mail.observed(12*time.Minute, commitE, "Leave the old queues", "Alan Turing", "poll"),
			mail.rendered(12*time.Minute-260*ms, bundleX),
			mail.held(12*time.Minute-400*ms),
			mail.told(12*time.Minute-900*ms, incident.Hold, "", "1773488880.000200"),
			api.persists(4*time.Minute),
			api.told(2*time.Minute-300*ms, incident.Divergence, "0a0b0c", "1773489480.000300"),
			pay.observed(3*time.Second, commitE, "Raise the limit", "Alan Turing", "webhook"),
		)
	},
}
