// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

// Deviation is a right of a user that is not as the files of deploy/nats have
// it.
type Deviation struct {
	Subscribe bool   // else publish
	Subject   string // that was asked about
	Allowed   bool   // by the server; the files say the opposite
}

// harmless are the subjects to which anybody could publish without changing
// anything: questions. The rights to write can't be tried without writing.
var harmless = []string{
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.", "$JS.API.CONSUMER.INFO.",
	"$JS.API.CONSUMER.NAMES.", "$JS.API.CONSUMER.LIST.", "$JS.API.DIRECT.GET.",
}

// Questions that are put to every user beside its own: most are to deny them.
// plumbline.doctor is a subject that no stream keeps and no user may publish to.
var (
	askedOfAll = []string{
		"plumbline.doctor", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO." + natsconfig.StreamBlobs, readSubject,
		"$JS.API.DIRECT.GET." + natsconfig.StreamBlobs + ".plumbline.blob.watcher.source.doctor.doctor",
	}
	heardByAll = []string{">", events.Root + ".>"}
)

// ProbeTitle begins the name of a connection of [Rights]: the server's log
// tells by it why so much was denied.
const ProbeTitle = "plumbline doctor for "

// Rights asks the server, with a user's own key, what of the harmless it lets
// the user do, and returns where that is not as the files say. all are the
// users of the clusters. The server's log may note what it denies. Its error wraps
// [ErrRefused] where the server doesn't take the key.
func Rights(ctx context.Context, cfg Config, all []natsconfig.User, log *slog.Logger) ([]Deviation, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	var own *natsconfig.User
	for i := range all {
		if all[i].Name == cfg.User {
			own = &all[i]
		}
	}
	if own == nil {
		return nil, fmt.Errorf("there is no user %q of the bus", cfg.User)
	}
	cfg.title = ProbeTitle
	p := &probe{said: make(chan string, 1024)}
	trying, refused := context.WithCancel(ctx)
	defer refused()
	cfg.Waiting = func(err error) {
		if errors.Is(err, ErrRefused) {
			refused()
		}
	}
	p.nc, err = dial(trying, cfg, newAbsence(cfg, log), callbacks{func(bool) {}, p.failed})
	if err != nil {
		return nil, err
	}
	defer p.nc.Close()
	asked := questions(*own)
	denied, err := p.ask(ctx, asked)
	if err != nil {
		return nil, fmt.Errorf("ask for the rights of %s: %w", cfg.User, err)
	}
	var found []Deviation
	for _, d := range asked {
		may := own.Permissions.Publish
		if d.Subscribe {
			may = own.Permissions.Subscribe
		}
		if d.Allowed = !denied[d.question()]; d.Allowed != allows(may, d.Subject) {
			found = append(found, d)
		}
	}
	return found, nil
}

// questions are what a user is asked about: its own rights, and what most may
// not.
func questions(own natsconfig.User) []Deviation {
	var asked []Deviation
	seen := map[Deviation]bool{}
	add := func(d Deviation) {
		if !seen[d] {
			seen[d] = true
			asked = append(asked, d)
		}
	}
	for _, subject := range askedOfAll {
		add(Deviation{Subject: subject})
	}
	for _, subject := range heardByAll {
		add(Deviation{Subject: subject, Subscribe: true})
	}
	for _, subject := range own.Permissions.Publish.Allow {
		for _, prefix := range harmless {
			if strings.HasPrefix(subject, prefix) {
				add(Deviation{Subject: filled(subject)})
			}
		}
	}
	for _, subject := range own.Permissions.Subscribe.Allow {
		add(Deviation{Subject: subject, Subscribe: true})
	}
	return asked
}

// filled is a subject that a pattern matches.
func filled(pattern string) string {
	tokens := strings.Split(pattern, ".")
	for i, t := range tokens {
		if t == "*" || t == ">" {
			tokens[i] = "doctor"
		}
	}
	return strings.Join(tokens, ".")
}

// allows reports whether one of the patterns covers the whole of a subject.
func allows(a natsconfig.Allowance, subject string) bool {
	for _, pattern := range a.Allow {
		if covers(strings.Split(pattern, "."), strings.Split(subject, ".")) {
			return true
		}
	}
	return false
}

func covers(pattern, subject []string) bool {
	for i, p := range pattern {
		switch {
		case p == ">":
			return i < len(subject)
		case i >= len(subject), p != "*" && p != subject[i], p == "*" && subject[i] == ">":
			return false
		}
	}
	return len(pattern) == len(subject)
}

// probe reads denials from the server's errors, which come in order: the last
// question is one that is denied for sure, and what was not denied before it was
// allowed.
type probe struct {
	nc   *nats.Conn
	said chan string
}

// sentinel is denied to every user: it is outside of all that is imported.
const sentinel = "refused.for.sure"

func (p *probe) failed(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	select {
	case p.said <- strings.ToLower(err.Error()):
	default:
	}
}

// question is how the server's error names what it denies.
func (d Deviation) question() string {
	if d.Subscribe {
		return strings.ToLower(fmt.Sprintf("subscription to %q", d.Subject))
	}
	return strings.ToLower(fmt.Sprintf("publish to %q", d.Subject))
}

// ask puts all questions and returns those that were denied.
func (p *probe) ask(ctx context.Context, all []Deviation) (map[string]bool, error) {
	for _, d := range all {
		if !d.Subscribe {
			if err := p.nc.Publish(d.Subject, nil); err != nil {
				return nil, err
			}
			continue
		}
		sub, err := p.nc.SubscribeSync(d.Subject)
		if err != nil {
			return nil, err
		}
		defer sub.Unsubscribe() //nolint:errcheck // a refused one is no more
	}
	end := Deviation{Subject: sentinel}
	if err := p.nc.Publish(end.Subject, nil); err != nil {
		return nil, err
	}
	denied := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case text := <-p.said:
			if strings.Contains(text, end.question()) {
				return denied, nil
			}
			for _, d := range all {
				if strings.Contains(text, d.question()) {
					denied[d.question()] = true
				}
			}
		}
	}
}
