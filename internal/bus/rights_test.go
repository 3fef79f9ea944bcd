// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

func TestRightsAreAsTheFilesSay(t *testing.T) {
	s := bustest.Start(t)
	users, err := natsconfig.Users([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		found, err := bus.Rights(t.Context(), s.Config(u.Name), users, bustest.Log(t))
		if err != nil || len(found) > 0 {
			t.Errorf("%s: %+v, %v", u.Name, found, err)
		}
	}
	if n := len(s.Events(t, "")); n != 0 {
		t.Errorf("asking has left %d events", n)
	}
}

// A server whose users.conf is older, or was edited by hand, is caught: it is
// the same as files that say something else.
func TestRightsThatDeviateAreFound(t *testing.T) {
	s := bustest.Start(t)
	for name, c := range map[string]struct {
		user   string
		change func(*natsconfig.Permissions)
		want   string
	}{
		"a source too many": {"renderer", drop("$JS.API.DIRECT.GET.BLOBS.plumbline.blob.watcher.source.*.*", ""), "+$JS.API.DIRECT.GET.BLOBS.plumbline.blob.watcher.source.doctor.doctor"},
		"all of the log":    {"reader", drop("$JS.API.DIRECT.GET.EVENTS", ""), "+$JS.API.DIRECT.GET.EVENTS"},
		"a read that is missing": {"applier-local", func(p *natsconfig.Permissions) {
			p.Publish.Allow = append(p.Publish.Allow, "$JS.API.DIRECT.GET.BLOBS.plumbline.blob.far.*")
		}, "-$JS.API.DIRECT.GET.BLOBS.plumbline.blob.far.doctor"},
		"events unheard": {"watcher", func(p *natsconfig.Permissions) { p.Subscribe.Allow = append(p.Subscribe.Allow, "plumbline.v1.>") }, "-sub plumbline.v1.>"},
		"events heard":   {"reader", func(p *natsconfig.Permissions) { p.Subscribe.Allow = []string{"_INBOX_reader.>"} }, "+sub plumbline.v1.>"},
	} {
		t.Run(name, func(t *testing.T) {
			users, err := natsconfig.Users([]string{"local"})
			if err != nil {
				t.Fatal(err)
			}
			for i := range users {
				if users[i].Name == c.user {
					c.change(&users[i].Permissions)
				}
			}
			found, err := bus.Rights(t.Context(), s.Config(c.user), users, bustest.Log(t))
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			for _, d := range found {
				sign, sub := "-", ""
				if d.Allowed {
					sign = "+"
				}
				if d.Subscribe {
					sub = "sub "
				}
				said = append(said, fmt.Sprint(sign, sub, d.Subject))
			}
			if strings.Join(said, " ") != c.want {
				t.Errorf("%v, want %s", said, c.want)
			}
		})
	}
}

// drop takes a subject out of what a user may publish, and puts another in.
func drop(subject, put string) func(*natsconfig.Permissions) {
	return func(p *natsconfig.Permissions) {
		p.Publish.Allow = slices.DeleteFunc(slices.Clone(p.Publish.Allow), func(s string) bool { return s == subject })
		if put != "" {
			p.Publish.Allow = append(p.Publish.Allow, put)
		}
	}
}

func TestRightsOfAKeyThatIsRefused(t *testing.T) {
	s := bustest.Start(t)
	users, err := natsconfig.Users([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	config := s.Config("renderer")
	config.Creds = s.Config("watcher").Creds
	if _, err := bus.Rights(t.Context(), config, users, bustest.Log(t)); !errors.Is(err, bus.ErrRefused) {
		t.Errorf("another's key: %v", err)
	}
}
