// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

// permissions are a user's permissions in users.conf.
var permissions = regexp.MustCompile(`(?s)\n    permissions: \{.*?\n    \}`)

// unguarded runs a server whose users have no permissions: each may publish
// and listen to anything in its account. It returns the server's address and
// the folder of the keys.
func unguarded(t *testing.T) (url, keys string) {
	t.Helper()
	dir := t.TempDir()
	if err := natsserver.Configure(natsserver.Options{Dir: dir, Clusters: clusters}); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "users.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(permissions.FindAll(text, -1)); n != len(everyone) {
		t.Fatalf("%d users have permissions, want %d:\n%s", n, len(everyone), text)
	}
	if err := os.WriteFile(conf, permissions.ReplaceAll(text, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(filepath.Join(dir, "server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	o.Port, o.StoreDir, o.NoSigs = -1, dir, true
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(bustest.Timeout) {
		t.Fatal("the server takes no connections")
	}
	return s.ClientURL(), filepath.Join(dir, "keys")
}

// The account of each user keeps it apart by itself: without any permission a
// user still gets no further than its account imports. The server says of the
// rest that nobody listens there.
func TestAnAccountImportsNoMoreThanItsUserMay(t *testing.T) {
	url, keys := unguarded(t)
	seed := func(user string) string { return filepath.Join(keys, user+".nk") }
	admin := connect(t, url, seed(provisioner), provisioner)
	js, err := jetstream.New(admin.nc)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bustest.Timeout)
	defer cancel()
	if _, err := provision.Apply(ctx, js, provision.Options{Clusters: clusters}); err != nil {
		t.Fatal(err)
	}
	rows := slices.DeleteFunc(publishing(t), func(r row) bool { return slices.Contains(ofEveryAccount, r.subject) })
	cells, unheard := 0, 0
	for _, user := range everyone {
		if user == provisioner {
			continue // it is in the account of the streams: its permissions are its only bound
		}
		nobody := connect(t, url, seed(user), user).publish(t, rows)
		for _, r := range rows {
			switch may := slices.Contains(r.may, user); {
			case nobody[r.subject] && may && there(r.subject):
				t.Errorf("%s: nobody listens to %s, which it may publish to", user, r.subject)
			case !nobody[r.subject] && !may:
				t.Errorf("%s: somebody listens to %s, which it may not publish to", user, r.subject)
			}
		}
		cells += len(rows)
		unheard += len(nobody)
	}
	t.Logf("%d cells without permissions; of %d the server says that nobody listens", cells, unheard)
}

// ofEveryAccount is what every account may ask, about itself, and what the server
// keeps from the clients of any. The permissions deny all of it.
var ofEveryAccount = []string{"$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO", "$JS.API.INFO", "$NRG.V.x", "$GR.x"}

// Nor does an account hear what others say, but the log where it is imported.
func TestAnAccountHearsNoOther(t *testing.T) {
	url, keys := unguarded(t)
	heard := map[string]func() []string{}
	for _, user := range everyone {
		if user == provisioner {
			continue
		}
		p := connect(t, url, filepath.Join(keys, user+".nk"), user)
		all, err := p.nc.SubscribeSync(">")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.nc.FlushTimeout(bustest.Timeout); err != nil {
			t.Fatal(err)
		}
		heard[user] = func() (subjects []string) {
			if err := p.nc.FlushTimeout(bustest.Timeout); err != nil {
				t.Fatal(err)
			}
			for {
				m, err := all.NextMsg(time.Millisecond)
				if err != nil {
					return subjects
				}
				subjects = append(subjects, m.Subject)
			}
		}
	}
	admin := connect(t, url, filepath.Join(keys, provisioner+".nk"), provisioner)
	secret := []string{"plumbline.blob.renderer.local.0a1b2c.0", "plumbline.attempts.renderer.17", "_INBOX_renderer.x", "$JS.EVENT.ADVISORY.STREAM.DELETED.EVENTS", "anything"}
	for _, subject := range append(secret, "v1.commit.observed.local.shop") { // the last as the log tells it
		if err := admin.nc.Publish(subject, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.nc.FlushTimeout(bustest.Timeout); err != nil {
		t.Fatal(err)
	}
	for user, listen := range heard {
		want := []string(nil)
		if user == operator || user == reader {
			want = []string{"plumbline.v1.commit.observed.local.shop"}
		}
		var got []string
		bustest.Eventually(t, user+" hears what it may", func() bool { got = append(got, listen()...); return len(got) >= len(want) })
		if !slices.Equal(got, want) {
			t.Errorf("%s hears %q, want %q", user, got, want)
		}
	}
}

// What users.conf grants comes from the files alone: no user has a right that
// only the text has.
func TestUsersConfSaysWhatTheFilesSay(t *testing.T) {
	text, err := natsconfig.UsersConf(clusters, func(user string) (string, error) { return "U" + user, nil })
	if err != nil {
		t.Fatal(err)
	}
	users, err := natsconfig.Users(clusters)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		for _, subject := range append(slices.Clone(u.Permissions.Publish.Allow), u.Permissions.Subscribe.Allow...) {
			if !bytes.Contains(text, []byte(`"`+subject+`"`)) {
				t.Errorf("users.conf lacks %s of %s", subject, u.Name)
			}
		}
	}
}
