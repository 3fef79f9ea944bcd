// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// publisher publishes as the services would, each under its own user.
type publisher struct {
	watcher, renderer, applier, auditor *bus.Conn

	n        int
	observed events.Event // the last commit.observed
	digest   string       // of the last bundle
}

func newPublisher(t *testing.T, s *bustest.Server) *publisher {
	return &publisher{
		watcher: s.Connect(t, "watcher"), renderer: s.Connect(t, "renderer"),
		applier: s.Connect(t, "applier-local"), auditor: s.Connect(t, "auditor-local"),
	}
}

const (
	commitA = "aaaa1111aaaa1111aaaa1111aaaa1111aaaa1111"
	commitB = "bbbb2222bbbb2222bbbb2222bbbb2222bbbb2222"
	commitC = "cccc3333cccc3333cccc3333cccc3333cccc3333"
	bundleX = "sha256:0101010101010101010101010101010101010101010101010101010101010101"
	bundleY = "sha256:0202020202020202020202020202020202020202020202020202020202020202"
	holdD   = "sha256:0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d0d"
)

var shopWeb = events.Address{Cluster: local, Application: "shop-web"}

// histories are what scripts publish.
var histories = map[string]func(*publisher) error{
	"fleet": func(p *publisher) error {
		return p.publish(p.watcher, events.Cause{ID: "fleet"}, events.Address{Cluster: local}, &events.FleetObserved{
			URL: "https://git.example.com/fleet.git", Path: ".", Commit: commitA, Count: 2, List: blob("plumbline.blob.watcher.fleet.local.f"),
		})
	},
	"undeclared": func(p *publisher) error {
		list, err := p.watcher.Blobs().Put(context.Background(), "plumbline.blob.watcher.fleet.local", []byte("[]"))
		if err != nil {
			return err
		}
		return p.publish(p.watcher, events.Cause{ID: "undeclared"}, events.Address{Cluster: local}, &events.FleetObserved{
			URL: "https://git.example.com/fleet.git", Path: ".", Commit: commitB, List: list,
		})
	},
	"observed-a": func(p *publisher) error { return p.observe(commitA, "Begin") },
	"observed-b": func(p *publisher) error { return p.observe(commitB, "Three replicas") },
	"observed-c": func(p *publisher) error { return p.observe(commitC, "Revert \"Three replicas\"") },
	"rendered-x": func(p *publisher) error {
		p.digest = bundleX
		return p.next(p.renderer, &events.ManifestsRendered{Manifests: p.manifests()})
	},
	"rendered-y": func(p *publisher) error {
		p.digest = bundleY
		return p.next(p.renderer, &events.ManifestsRendered{Manifests: p.manifests()})
	},
	"unchanged": func(p *publisher) error {
		return p.next(p.renderer, &events.ManifestsUnchanged{Manifests: p.manifests()})
	},
	"render-failed": func(p *publisher) error {
		c := p.observed.Data.(*events.CommitObserved)
		return p.next(p.renderer, &events.RenderFailed{
			Revision: c.Revision, Declaration: c.Declaration, Reason: events.ReasonSyntax,
			Message: "did not find expected key", File: "deploy/web/web.yaml", Line: 12,
		})
	},
	"completed": func(p *publisher) error {
		counts := events.Counts{Created: 2, Unchanged: 1}
		return errors.Join(
			p.next(p.applier, &events.ConvergenceApplied{Converging: p.converging(), Counts: counts, Objects: events.AppliedObjects{}}),
			p.next(p.applier, &events.ConvergenceCompleted{Converging: p.converging(), Counts: counts, After: events.Duration(1234 * time.Millisecond)}),
		)
	},
	"failed": func(p *publisher) error {
		return p.next(p.applier, &events.ConvergenceFailed{
			Converging: p.converging(), Reason: events.ReasonRefused, Message: "the API server refuses 1 of 3 objects", Failed: 1,
			Failures: []events.ObjectFailure{{
				Object: events.Object{Version: "v1", Kind: "Service", Namespace: "shop", Name: "web"}, APIReason: "Invalid",
				Message: "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535", File: "deploy/web/service.yaml", Line: 1,
			}},
		})
	},
	"held": func(p *publisher) error {
		return p.next(p.applier, &events.ConvergenceHeld{
			Converging: p.converging(), Reason: events.ReasonPruneGuard, Message: "5 of 6 objects would be deleted, more than half; all of them are held", Hold: holdD,
			Objects: events.AppliedObjects{Count: 2, Items: []events.AppliedObject{
				{Object: events.Object{Version: "v1", Kind: "Service", Namespace: "shop", Name: "old"}, Action: events.ActionHeld},
				{Object: events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "old"}, Action: events.ActionHeld},
			}},
		})
	},
	"withdrawal-held": func(p *publisher) error {
		var list []events.AppliedObject
		for i := range 60 {
			list = append(list, events.AppliedObject{Object: events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprintf("old-%02d", i)}, Action: events.ActionHeld})
		}
		body, err := json.Marshal(list)
		if err != nil {
			return err
		}
		stored, err := p.applier.Blobs().Put(context.Background(), "plumbline.blob.applier.local", body)
		if err != nil {
			return err
		}
		return p.next(p.applier, &events.ApplicationWithdrawn{
			Outcome: events.ActionHeld, Reason: events.ReasonWithdrawalGuard, Hold: holdD, Fleet: commitA,
			Objects: events.AppliedObjects{Count: len(list), Blob: &stored},
		})
	},
	"diverged": func(p *publisher) error { return p.diverge(&events.DivergenceDetected{Divergence: p.divergence()}) },
	"resolved": func(p *publisher) error {
		return p.diverge(&events.DivergenceResolved{Divergence: p.divergence(), After: events.Duration(320 * time.Millisecond), How: "healed"})
	},
	"unreachable": func(p *publisher) error {
		return p.publish(p.watcher, events.Cause{ID: "out"}, events.Address{Key: "shop"}, &events.SourceUnreachable{
			Repository: "shop", URL: "https://git.example.com/shop.git", Reason: events.ReasonUnauthorized,
			Message: "it refuses our credentials", Since: p.now(), Applications: []string{"shop-web", "shop-db"},
		})
	},
	"hostile": func(p *publisher) error { return p.observe(commitC, "\x1b[31mred\x1b[0m \u202egnp.exe\r\n") },
}

func (p *publisher) now() time.Time {
	p.n++
	return time.Date(2020, 3, 1, 12, 0, p.n, 0, time.UTC)
}

func (p *publisher) publish(c *bus.Conn, cause events.Cause, a events.Address, data events.Payload) error {
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Timeout)
	defer cancel()
	published, err := c.Publish(ctx, cause, events.Draft{Data: data, Address: a, Time: p.now(), Variant: fmt.Sprint(p.n)})
	if err != nil {
		return err
	}
	if published[0].Type.Name() == "commit.observed" {
		p.observed = published[0]
	}
	return nil
}

// next publishes what the last commit leads to.
func (p *publisher) next(c *bus.Conn, data events.Payload) error {
	return p.publish(c, events.CauseOf(p.observed), shopWeb, data)
}

func (p *publisher) observe(commit, title string) error {
	return p.publish(p.watcher, events.Cause{ID: commit}, shopWeb, &events.CommitObserved{
		Revision: events.Revision{
			Commit: commit, Tree: commit, Ref: "refs/heads/main", Title: title, Trigger: "webhook", Cause: "commit",
			Author: events.Person{Name: "Ada", When: p.now()}, Committer: events.Person{Name: "Ada", When: p.now()},
			Signature: events.Signature{Verdict: "unsigned"},
		},
		Declaration: events.Declaration{
			Application: "shop-web", Cluster: local, Namespace: "shop", Deletion: events.DeletionDelete,
			Source:   events.SourceSpec{Repository: "shop", Branch: "main", Path: "deploy/web"},
			Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(5 * time.Minute)},
		},
		DeclarationDigest: bundleX, FleetCommit: commitA, Source: blob("plumbline.blob.watcher.source.s"),
	})
}

func blob(name string) events.Blob {
	return events.Blob{Name: name, Digest: bundleX, Size: 1, Chunks: 1}
}

func (p *publisher) manifests() events.Manifests {
	c := p.observed.Data.(*events.CommitObserved)
	return events.Manifests{
		Revision: c.Revision, Declaration: c.Declaration, DeclarationDigest: c.DeclarationDigest,
		Digest: p.digest, Bundle: blob("plumbline.blob.renderer.local.b"), Renderer: "test",
		Objects: events.DeclaredObjects{Count: 3}, ReadSet: events.ReadSet{Digest: bundleX, Paths: 4},
	}
}

func (p *publisher) converging() events.Converging {
	return events.Converging{Revision: p.observed.Data.(*events.CommitObserved).Revision, Digest: p.digest, Cause: "revision"}
}

func (p *publisher) divergence() events.Divergence {
	return events.Divergence{
		Key: "0a0b0c", Kind: events.DivergenceChanged, Since: p.now(), Digest: p.digest,
		Revision: p.observed.Data.(*events.CommitObserved).Revision,
		Object:   &events.Object{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"},
		Fields:   []events.FieldDifference{{Path: "/spec/replicas", Desired: "2", Live: "5"}}, FieldCount: 1,
		Writer: &events.Writer{Manager: "kubectl-scale", Operation: "Update", Time: p.now()},
		File:   "deploy/web/deployment.yaml", Line: 8, Heal: true,
		Message: "Deployment.apps/shop/web: /spec/replicas was changed by kubectl-scale",
	}
}

func (p *publisher) diverge(data events.Payload) error {
	a := shopWeb
	a.Key = "0a0b0c"
	return p.publish(p.auditor, events.CauseOf(p.observed), a, data)
}
