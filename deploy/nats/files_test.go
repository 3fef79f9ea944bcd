// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
)

func strict(t *testing.T, text []byte, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Error(err)
	}
}

// covers reports whether every subject that b matches is matched by a.
func covers(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i, token := range x {
		if token == ">" {
			return len(y) > i
		}
		if i >= len(y) || y[i] == ">" || token != "*" && token != y[i] {
			return false
		}
	}
	return len(x) == len(y)
}

func TestStreams(t *testing.T) {
	streams, err := natsconfig.Streams()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]jetstream.StreamConfig{}
	for _, s := range streams {
		var c jetstream.StreamConfig
		strict(t, s.JSON, &c)
		if c.Name != s.Name || c.Storage != jetstream.FileStorage || !c.AllowDirect {
			t.Errorf("%s: %+v", s.Name, c)
		}
		all[c.Name] = c
	}
	log := all[natsconfig.StreamEvents]
	for i := range events.Types {
		if f := events.Types[i].Filter("*"); !covers(log.Subjects[0], f) {
			t.Errorf("the log does not cover %s", f)
		}
	}
	if !log.DenyDelete || !log.DenyPurge || log.MaxMsgsPerSubject != 256 || log.MaxAge != 0 || int(log.MaxMsgSize) < events.MaxSize+16<<10 {
		t.Errorf("the log: %+v", log)
	}
	blobs := all[natsconfig.StreamBlobs]
	if !blobs.DiscardNewPerSubject || blobs.Discard != jetstream.DiscardNew || blobs.MaxMsgsPerSubject != 1 {
		t.Errorf("blobs: %+v", blobs)
	}
	consumers, err := natsconfig.Consumers([]string{"local", "eu1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range consumers {
		var c jetstream.ConsumerConfig
		strict(t, f.JSON, &c)
		var whole time.Duration
		for _, d := range c.BackOff {
			whole += d
		}
		if c.Durable != f.Name || c.MaxDeliver != -1 || c.MaxAckPending != -1 || c.AckPolicy != jetstream.AckExplicitPolicy || c.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy || c.AckWait != c.BackOff[0] {
			t.Errorf("%s: %+v", f.Name, c)
		}
		if whole > log.Duplicates {
			t.Errorf("%s: its back-off list takes %s, the window for duplicates is %s", f.Name, whole, log.Duplicates)
		}
		for _, filter := range c.FilterSubjects {
			if !slices.ContainsFunc(events.Types, func(e events.Type) bool {
				return covers(filter, e.Filter("local")) || covers(filter, e.Filter("eu1")) || covers(filter, e.Filter("*")) || covers(e.Filter("*"), filter)
			}) {
				t.Errorf("%s: %s is no event's subject", f.Name, filter)
			}
		}
	}
}

// Each type's emitter may publish it, for the clusters that it serves.
func TestEmittersMayPublish(t *testing.T) {
	users, err := natsconfig.Users([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range events.Types {
		e := &events.Types[i]
		subject := e.Subject(events.Address{Cluster: "local", Application: "shop", Key: "key"})
		found := false
		for _, u := range users {
			service, _, _ := strings.Cut(u.Name, "-")
			if service != e.Emitter && e.Emitter != "any" {
				if slices.ContainsFunc(u.Permissions.Publish.Allow, func(a string) bool { return covers(a, subject) }) {
					t.Errorf("%s may publish %s, which is the %s's", u.Name, subject, e.Emitter)
				}
				continue
			}
			if e.Emitter == "any" {
				subject = e.Subject(events.Address{Cluster: "local", Application: "shop", Key: service})
			}
			found = found || slices.ContainsFunc(u.Permissions.Publish.Allow, func(a string) bool { return covers(a, subject) })
		}
		if !found {
			t.Errorf("nobody may publish %s", subject)
		}
	}
}

func TestHostileClusterNames(t *testing.T) {
	for _, name := range []string{"", "a.b", "*", ">", "a b", "a\"b", "{cluster}", "ü", strings.Repeat("a", 64), "a_b"} {
		if _, err := natsconfig.Users([]string{name}); err == nil {
			t.Errorf("cluster %q is taken", name)
		}
	}
}

// What is not in the configuration is off: these would open another door.
func TestAdvisoryC13ServerOpensOneDoor(t *testing.T) {
	text := string(natsconfig.Server())
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		for _, word := range []string{"websocket", "mqtt", "leafnode", "gateway", "cluster", "http", "no_auth_user", "authorization", "0.0.0.0", "password", "token"} {
			if strings.Contains(line, word) {
				t.Errorf("server.conf has %s: %s", word, line)
			}
		}
	}
	for _, want := range []string{"listen: 127.0.0.1:", "sync_interval: always", "system_account: SYS", "max_payload: 1MB", "include ./users.conf"} {
		if !strings.Contains(text, want) {
			t.Errorf("server.conf lacks %s", want)
		}
	}
}
