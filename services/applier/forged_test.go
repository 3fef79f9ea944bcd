// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// forge publishes a bundle of a revision whose digest and body name nothing.
func (r *rig) forge(e events.Event) events.Event {
	r.Helper()
	p := *payload[*events.ManifestsRendered](e)
	p.Digest = "sha256:" + strings.Repeat("2", 64)
	p.Bundle.Digest = "sha256:" + strings.Repeat("3", 64)
	return r.say(e, &p, "forged")
}

// say publishes another outcome of a revision that has one.
func (r *rig) say(e events.Event, p events.Payload, variant string) events.Event {
	r.Helper()
	r.commits++
	cause := events.CauseOf(e)
	cause.ID = fmt.Sprint("again", r.commits)
	es, err := r.renderer.Publish(r.Context(), cause, events.Draft{Data: p, Address: e.Address, Variant: variant, Revision: order(e)})
	r.must(err)
	return es[0]
}

// An application of which a bundle was forged goes on with the next true one,
// although that is what it was driven to before.
func TestAForgedBundleEndsWithTheNextTrueOne(t *testing.T) {
	one := configMapYAML("one", "1")
	for name, next := range map[string]func(r *rig, e events.Event) events.Event{
		"rendered again":   func(r *rig, e events.Event) events.Event { return r.say(e, e.Data, "after") },
		"a newer revision": func(r *rig, _ events.Event) events.Event { return r.commit("shop", one) },
		"unchanged":        func(r *rig, _ events.Event) events.Event { return r.unchanged("shop", one) },
		"rendered again, unchanged": func(r *rig, e events.Event) events.Event {
			r.say(e, e.Data, "after")
			return r.unchanged("shop", one)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.start()
			e := r.commit("shop", one)
			r.await("shop", "completed", 1)
			r.forge(e)
			failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", 1))
			if failed.Reason != events.ReasonIntegrity {
				t.Errorf("got %+v", failed)
			}
			last := next(r, e)
			if ended := r.await("shop", "completed", 2); ended.Sequence > last.Sequence || payload[*events.ConvergenceCompleted](ended).Digest != manifestsOf(e).Digest {
				t.Errorf("said%s", r.story("shop"))
			}
		})
	}
}

// What is found at the level is said of the application, once, and not of a
// message that nobody has sent.
func TestAForgedLevelIsSaidOnce(t *testing.T) {
	r := newRig(t)
	r.start()
	e := r.commit("shop", configMapYAML("one", "1"))
	r.await("shop", "completed", 1)
	r.forge(e)
	r.await("shop", "failed", 1)
	for i := range 3 {
		r.sync()
		r.commit("beside", configMapYAML("beside", fmt.Sprint(i)))
		r.await("beside", "completed", i+1)
	}
	r.nats.Idle(t, "applier-local")
	if failed := r.events("shop", "failed"); len(failed) != 1 {
		t.Errorf("said%s", r.story("shop"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.seen {
		if d, ok := e.Data.(*events.MessageRejected); ok {
			t.Errorf("%s of %s was rejected: %s", d.Subject, e.Application, d.Message)
		}
	}
}

// A bundle that can't be had is its application's trouble: the API server is
// there, and the others go on.
func TestABundleThatCantBeHadHoldsUpNobody(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*events.ManifestsRendered)
		reason events.Reason
	}{
		"lost": {func(p *events.ManifestsRendered) { p.Bundle.Name += "0" }, events.ReasonBundleMissing},
		"its list of objects is lost": {func(p *events.ManifestsRendered) {
			list := p.Bundle
			list.Name += "0"
			p.Objects = events.DeclaredObjects{Count: 1, Blob: &list}
		}, events.ReasonBundleMissing},
		"named by no name": {func(p *events.ManifestsRendered) { p.Bundle.Name = "x" }, events.ReasonIntegrity},
		"of another service": {func(p *events.ManifestsRendered) {
			p.Bundle.Name = "plumbline.blob.watcher.source.0123456789abcdef"
		}, events.ReasonIntegrity},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			r := newRig(t)
			r.start()
			r.commit("beside", configMapYAML("beside", "0"))
			r.await("beside", "completed", 1)
			e, p := r.observe("shop")
			bad := r.render(p, configMapYAML("one", "1"))
			c.edit(bad)
			r.publish(e, bad)
			for i := range 3 {
				r.commit("beside", configMapYAML("beside", fmt.Sprint(i+1)))
				r.await("beside", "completed", i+2)
			}
			failed := payload[*events.ConvergenceFailed](r.await("shop", "failed", 1))
			if failed.Reason != c.reason || !strings.Contains(failed.Message, "plumbline sync") {
				t.Errorf("got %+v", failed)
			}
			r.commit("shop", configMapYAML("one", "1"))
			r.await("shop", "completed", 1)
		})
	}
}
