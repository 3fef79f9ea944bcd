// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// rejections are what a script has services not take, each with how the
// service works on it and the type of event that says that it has.
var rejections = map[string]struct {
	publish func(*testing.T, *bustest.Server, *publisher) error
	handle  bus.Handler
	says    string
}{
	// garbage is no event.
	"garbage": {
		publish: func(t *testing.T, s *bustest.Server, _ *publisher) error {
			return s.Dial(t, "watcher").Publish("plumbline.v1.commit.observed.local.shop-db", []byte("{\"no\": \x1b[31m event"))
		},
		says: "plumbline.v1.message.rejected.>",
	},
	// poison is a revision that the renderer fails on.
	"poison": {
		publish: func(_ *testing.T, _ *bustest.Server, p *publisher) error { return histories["observed-a"](p) },
		handle:  func(context.Context, events.Event) ([]events.Draft, error) { return nil, errors.New("poison") },
		says:    "plumbline.v1.render.failed.>",
	},
	// cure takes it after all.
	"cure": {
		publish: func(*testing.T, *bustest.Server, *publisher) error { return nil },
		handle: func(_ context.Context, in events.Event) ([]events.Draft, error) {
			c, ok := in.Data.(*events.CommitObserved)
			if !ok {
				return nil, nil
			}
			return []events.Draft{{Address: in.Address, Data: &events.ManifestsRendered{Manifests: events.Manifests{
				Revision: c.Revision, Declaration: c.Declaration, DeclarationDigest: c.DeclarationDigest, Digest: bundleX,
				Bundle: blob("plumbline.blob.renderer.local.b"), ReadSet: events.ReadSet{Digest: bundleX}, Renderer: "test",
			}}}}, nil
		},
		says: "plumbline.v1.manifests.rendered.>",
	},
}

// reject has the renderer's own consumer come to a result.
func reject(t *testing.T, server *bustest.Server, p *publisher, name string) error {
	r, ok := rejections[name]
	if !ok {
		return fmt.Errorf("no rejection %q", name)
	}
	if err := r.publish(t, server, p); err != nil {
		return err
	}
	server.Backoff(t, "renderer", 50*time.Millisecond)
	handle := r.handle
	if handle == nil {
		handle = func(context.Context, events.Event) ([]events.Draft, error) { return nil, nil }
	}
	consumer := server.Connect(t, "renderer").Consumer("renderer", handle, bus.Options{
		Failed: func(in events.Event, reason events.Reason, message string) []events.Draft {
			c, ok := in.Data.(*events.CommitObserved)
			if !ok {
				return nil
			}
			return []events.Draft{{Address: in.Address, Data: &events.RenderFailed{
				Revision: c.Revision, Declaration: c.Declaration, Reason: reason, Message: message,
			}}}
		},
	})
	stop := bustest.Run(t, consumer)
	defer stop()
	bustest.Eventually(t, name+" is told of", func() bool { return len(server.Events(t, r.says)) > 0 })
	return nil
}
