// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// What the server keeps of a question between two accounts goes with the
// answer: a service asks many in its life, all from one inbox.
func TestAnsweredQuestionsAreForgotten(t *testing.T) {
	s, err := Start(t.Context(), Options{Dir: filepath.Join(t.TempDir(), "nats"), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop() //nolint:errcheck // the test is over
	option, err := nats.NkeyOptionFromSeed(s.Creds("renderer"))
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL(), option, nats.CustomInboxPrefix(natsconfig.InboxPrefix("renderer")))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	const questions = 200
	for range questions {
		if _, err := nc.Request("$JS.API.STREAM.INFO."+natsconfig.StreamEvents, nil, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	for range questions { // and a pull, with the inbox that it was asked from
		inbox, err := nc.SubscribeSync(nc.NewInbox())
		if err != nil {
			t.Fatal(err)
		}
		if err := nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT.EVENTS.renderer", inbox.Subject, nil); err != nil {
			t.Fatal(err)
		}
		if err := inbox.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	account, err := s.server.LookupAccount(natsconfig.Account)
	if err != nil {
		t.Fatal(err)
	}
	if n := account.NumPendingAllResponses(); n > questions/10 {
		t.Errorf("%d of %d questions are remembered", n, questions)
	}
}
