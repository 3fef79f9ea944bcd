// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// Every user tries to publish to, and to listen to, every subject: what is
// forbidden is refused by the server, by its permission error for that very
// subject, and what is allowed gets to where it is listened to.
func TestEveryUserOnEverySubject(t *testing.T) {
	users, err := natsconfig.Users(clusters)
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, u := range users {
		named = append(named, u.Name)
	}
	if slices.Sort(named); !slices.Equal(named, slices.Sorted(slices.Values(everyone))) {
		t.Fatalf("the users are %q, in the table %q", named, everyone)
	}
	s := bustest.Start(t, clusters...)
	published, listened := publishing(t), listening(t)
	cells, refused := len(everyone)*(len(published)+len(listened)), 0
	for _, user := range everyone { // the provisioner last: it deletes what the others ask for
		t.Run(user, func(t *testing.T) {
			p := connect(t, s.URL(), s.Config(user).Creds, user)
			unheard := p.publish(t, published)
			refused += check(t, user, "publish to", published, p.denied(t, "Publish"))
			for _, r := range published {
				if slices.Contains(r.may, user) && unheard[r.subject] && there(r.subject) {
					t.Errorf("may publish to %s, and nobody hears it: its account doesn't import it", r.subject)
				}
			}
			refused += check(t, user, "listen to", listened, p.listen(t, listened))
		})
	}
	t.Logf("%d cells: %d users, %d subjects to publish to and %d to listen to; %d refused by the server", cells, len(everyone), len(published), len(listened), refused)
}

// there reports whether somebody listens to a subject on the server of the
// tests: there is no stream "mine", and acknowledgements take the second form
// only where a feature of the server is on.
func there(subject string) bool {
	return !strings.HasSuffix(subject, ".mine") && !strings.HasPrefix(subject, "$JS.ACK._.hash.")
}

// check compares what was denied to a user with the table, and counts it.
func check(t *testing.T, user, verb string, rows []row, denied map[string]bool) (refused int) {
	t.Helper()
	for _, r := range rows {
		switch may := slices.Contains(r.may, user); {
		case denied[r.subject] && may:
			t.Errorf("may not %s %s", verb, r.subject)
		case !denied[r.subject] && !may:
			t.Errorf("may %s %s", verb, r.subject)
		}
		if denied[r.subject] {
			refused++
		}
	}
	return refused
}

// probe asks the server itself. It reads refusals from the server's errors,
// which come in order: the last question is one that is refused for sure, and
// what was not refused before it was allowed.
type probe struct {
	nc      *nats.Conn
	user    string
	refused chan [2]string // the verb and the subject that the server names
}

const sentinel = "refused.for.sure"

// violation is the server's permission error.
var violation = regexp.MustCompile(`Permissions Violation for (Publish|Subscription) to "([^"]*)"`)

func connect(t *testing.T, url, seed, user string) probe {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	p := probe{user: user, refused: make(chan [2]string, 10_000)}
	// The title keeps the server's log short: see internal/natsserver.
	p.nc, err = nats.Connect(url, key, nats.Name(bus.ProbeTitle+user), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if m := violation.FindStringSubmatch(err.Error()); m != nil {
			p.refused <- [2]string{m[1], m[2]}
			return
		}
		t.Errorf("%s: the server says %v", user, err)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.nc.Close)
	return p
}

// publish puts a question on every subject. It returns those of which the server
// says that nobody listens there: it says so at once, before it answers a flush.
func (p probe) publish(t *testing.T, rows []row) (unheard map[string]bool) {
	t.Helper()
	inbox := natsconfig.InboxPrefix(p.user) + ".answers."
	answers := make(chan *nats.Msg, 4*len(rows))
	sub, err := p.nc.ChanSubscribe(inbox+"*", answers)
	if err != nil {
		t.Fatal(err)
	}
	byAnswer := map[string]string{}
	for _, r := range rows {
		to := inbox + nats.NewInbox()[len(nats.InboxPrefix):]
		byAnswer[to] = r.subject
		if err := p.nc.PublishRequest(r.subject, to, nil); err != nil {
			t.Fatalf("publish to %s: %v", r.subject, err)
		}
	}
	if err := errors.Join(p.nc.FlushTimeout(bustest.Timeout), sub.Unsubscribe()); err != nil {
		t.Fatal(err)
	}
	unheard = map[string]bool{}
	for len(answers) > 0 {
		if m := <-answers; m.Header.Get("Status") == "503" {
			unheard[byAnswer[m.Subject]] = true
		}
	}
	return unheard
}

// listen subscribes to every subject and returns those that the server refuses.
func (p probe) listen(t *testing.T, rows []row) map[string]bool {
	t.Helper()
	for _, r := range rows {
		if _, err := p.nc.SubscribeSync(r.subject); err != nil {
			t.Fatalf("listen to %s: %v", r.subject, err)
		}
	}
	return p.denied(t, "Subscription")
}

// denied reads the server's refusals up to that of the sentinel.
func (p probe) denied(t *testing.T, verb string) map[string]bool {
	t.Helper()
	if err := p.nc.Publish(sentinel, nil); err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for {
		select {
		case r := <-p.refused:
			if r == [2]string{"Publish", sentinel} {
				return all
			}
			if r[0] != verb {
				t.Errorf("the server refuses %s to %s", r[0], r[1])
			}
			all[r[1]] = true
		case <-time.After(bustest.Timeout):
			t.Fatalf("the server says nothing about %s", sentinel)
		}
	}
}
