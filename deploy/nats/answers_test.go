// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// The server answers on whatever subject a request names for the answer, and
// asks nobody whether the one who asked may publish there. An answer without a
// body is a request to delete a stream; a stored blob, or an old event, is an
// event like any other.
func TestAnswersGoNoFurtherThanTheirUserMay(t *testing.T) {
	s := bustest.Start(t)
	const commit, approval = "plumbline.v1.commit.observed.local.shop", "plumbline.v1.approval.given.local.shop"
	const forged = "plumbline.blob.renderer.local.forged.0"
	store := func(user, subject string) {
		t.Helper()
		if _, err := s.Dial(t, user).Request(subject, []byte("{}"), bustest.Timeout); err != nil {
			t.Fatal(err)
		}
	}
	store("renderer", forged)
	store("watcher", commit)
	for _, c := range []struct{ user, read string }{
		{"renderer", "BLOBS." + forged},
		{"renderer", "EVENTS." + commit},
		{"reader", "BLOBS." + forged},
		{"reader", "EVENTS." + commit},
		{"reader", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
		{"auditor-local", "EVENTS." + commit},
		{"applier-local", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
		{"notifier", "EVENTS." + commit},
		{"operator", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
	} {
		nc := s.Dial(t, c.user)
		for _, to := range []string{commit, approval, "$JS.API.STREAM.DELETE.ATTEMPTS", "$JS.API.STREAM.PURGE.BLOBS"} {
			if c.user == "operator" && to == approval {
				continue // its own right
			}
			if err := nc.PublishRequest("$JS.API.DIRECT.GET."+c.read, to, nil); err != nil {
				t.Fatal(err)
			}
		}
		// The answer to this comes after those.
		if _, err := nc.Request("$JS.API.DIRECT.GET."+c.read, nil, bustest.Timeout); err != nil {
			t.Fatalf("%s: %v", c.user, err)
		}
	}
	store("operator", "plumbline.v1.sync.requested._._") // and this after what they were stored as
	js := s.JetStream(t)
	for name, want := range map[string]uint64{natsconfig.StreamEvents: 2, natsconfig.StreamBlobs: 1, natsconfig.StreamAttempts: 0} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if n := stream.CachedInfo().State.Msgs; n != want {
			t.Errorf("%s holds %d messages, want %d", name, n, want)
		}
	}
}

func TestNobodyConnectsWithoutAKey(t *testing.T) {
	s := bustest.Start(t)
	for name, options := range map[string][]nats.Option{
		"no credentials": nil,
		"password":       {nats.UserInfo("provisioner", "provisioner")},
		"token":          {nats.Token("x")},
	} {
		nc, err := nats.Connect(s.URL(), append(options, nats.MaxReconnects(0))...)
		if err == nil {
			nc.Close()
			t.Errorf("%s: let in", name)
		} else if !strings.Contains(strings.ToLower(err.Error()), "authorization") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
