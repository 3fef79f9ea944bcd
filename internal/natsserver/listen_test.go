// SPDX-License-Identifier: Apache-2.0

package natsserver_test

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// A plain subscriber, in an account of its own, hears what another account's
// user has stored, on the subject that it was stored on, and nothing of what
// the log refused.
func TestAPlainSubscriberHearsWhatIsStored(t *testing.T) {
	s := bustest.Start(t)
	watcher, err := jetstream.New(s.Dial(t, "watcher"))
	if err != nil {
		t.Fatal(err)
	}
	const refused, stored = "plumbline.v1.commit.observed.local.refused", "plumbline.v1.commit.observed.local.stored"
	for _, user := range []string{"reader", "operator"} {
		conn := s.Dial(t, user)
		sub, err := conn.SubscribeSync("plumbline.v1.>")
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := watcher.Publish(t.Context(), refused, []byte("x"), jetstream.WithExpectLastSequencePerSubject(99)); err == nil {
			t.Fatal("the log took what it was to refuse")
		}
		if _, err := watcher.Publish(t.Context(), stored, []byte(user)); err != nil {
			t.Fatal(err)
		}
		m, err := sub.NextMsg(bustest.Timeout)
		if err != nil {
			t.Fatalf("%s hears nothing: %v", user, err)
		}
		if m.Subject != stored || string(m.Data) != user {
			t.Errorf("%s hears %q on %s, want %q on %s", user, m.Data, m.Subject, user, stored)
		}
	}
}
