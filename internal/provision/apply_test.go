// SPDX-License-Identifier: Apache-2.0

package provision_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/provision"
)

func apply(t *testing.T, js jetstream.JetStream, o provision.Options) provision.Report {
	t.Helper()
	if o.Clusters == nil {
		o.Clusters = []string{"local"}
	}
	r, err := provision.Apply(t.Context(), js, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestApplyIsIdempotent(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	first := apply(t, js, provision.Options{})
	if len(first.Created)+len(first.Changed) > 0 || first.Log.Epoch == "" {
		t.Errorf("a second time: %+v", first)
	}
	if again := apply(t, js, provision.Options{Seen: first.Log}); again.Restored || again.Log != first.Log {
		t.Errorf("a third time: %+v, want %+v", again, first)
	}
	more := apply(t, js, provision.Options{Clusters: []string{"local", "eu1"}})
	if len(more.Created) != 2 {
		t.Errorf("a second cluster: %+v", more)
	}
}

func TestApplyPutsBackWhatWasChanged(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	before := apply(t, js, provision.Options{}).Log.Epoch
	stream, err := js.Stream(t.Context(), natsconfig.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.MaxMsgsPerSubject = 3
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s.Backoff(t, "renderer", time.Minute)
	r := apply(t, js, provision.Options{})
	if len(r.Changed) != 2 || r.Log.Epoch != before {
		t.Errorf("put back: %+v", r)
	}
	if stream, err = js.Stream(t.Context(), natsconfig.StreamEvents); err != nil || stream.CachedInfo().Config.MaxMsgsPerSubject != 256 {
		t.Errorf("it is %+v, %v", stream.CachedInfo().Config, err)
	}
}

func TestEpochTurnsWhenTheLogEndsBeforeWhatWasSeen(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	before := apply(t, js, provision.Options{}).Log
	for _, c := range []struct {
		seen provision.Mark
		turn bool
	}{
		{provision.Mark{}, false},
		{provision.Mark{Epoch: "another", Last: 9}, false},
		{before, false},
		{provision.Mark{Epoch: before.Epoch, Last: before.Last + 1}, true},
	} {
		r := apply(t, js, provision.Options{Seen: c.seen})
		if r.Restored != c.turn || (r.Log.Epoch != before.Epoch) != c.turn {
			t.Errorf("seen %+v: %+v, was %+v", c.seen, r, before)
		}
	}
}

// A log that was put back and has grown past the place that was seen holds
// another event there.
func TestEpochTurnsWhenAnotherEventLiesAtThePlaceSeen(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	operator := s.Connect(t, "operator")
	say := func(n int) {
		for i := range n {
			d := events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: "shop"}, Variant: fmt.Sprint(i)}
			if _, err := operator.Publish(t.Context(), events.Cause{ID: rand.Text()}, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	say(3)
	seen := apply(t, js, provision.Options{}).Log
	if seen.Last != 3 || seen.At == 0 {
		t.Fatalf("the log is at %+v", seen)
	}
	other := seen
	other.At++
	turns := func(why string, seen provision.Mark, want bool) {
		t.Helper()
		before := apply(t, js, provision.Options{}).Log
		seen.Epoch = before.Epoch
		r := apply(t, js, provision.Options{Seen: seen})
		if r.Restored != want || (r.Log.Epoch != before.Epoch) != want {
			t.Errorf("%s: %+v, was %+v", why, r, before)
		}
	}
	turns("it ends there with the same", seen, false)
	turns("it ends there with another", other, true)
	say(2)
	turns("it goes on from the same", seen, false)
	turns("it goes on from another", other, true)
	turns("nobody noted when it was", provision.Mark{Last: seen.Last}, false)
	say(256) // of one subject: the limits take what was seen
	turns("it was taken by the limits", seen, false)
}

// Services say what they have seen of the log: what isn't true of it turns its
// epoch, once; what is, what is of another life and what can't be read doesn't.
func TestEpochTurnsWhenAServiceHasSeenMore(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	operator := s.Connect(t, "operator")
	d := events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: "shop"}}
	var ids []string
	for range 3 {
		published, err := operator.Publish(t.Context(), events.Cause{ID: rand.Text()}, d)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, published[0].ID)
	}
	renderer, notifier := s.Dial(t, "renderer"), s.Dial(t, "notifier")
	said := uint64(0)
	for _, c := range []struct {
		name, user, words string // %s: the epoch
		turn              bool
	}{
		{"nobody asked", "notifier", `{"epoch":"%s","last":9}`, false},
		{"its last event", "renderer", `{"epoch":"%s","last":3,"id":"` + ids[2] + `"}`, false},
		{"an earlier event", "renderer", `{"epoch":"%s","last":1,"id":"` + ids[0] + `"}`, false},
		{"a place alone", "renderer", `{"epoch":"%s","last":3}`, false},
		{"another event in the middle", "renderer", `{"epoch":"%s","last":2,"id":"` + ids[0] + `"}`, true},
		{"another event at the end", "renderer", `{"epoch":"%s","last":3,"id":"` + ids[0] + `"}`, true},
		{"more", "renderer", `{"epoch":"%s","last":4}`, true},
		{"another life", "renderer", `{"epoch":"not %s","last":4}`, false},
		{"no life", "renderer", `{"last":4}`, false},
		{"nothing that can be read", "renderer", `{%s`, false},
	} {
		before := apply(t, js, provision.Options{}).Log
		nc := renderer
		if c.user == "notifier" {
			nc = notifier
		}
		ack, err := nc.Request(natsconfig.WitnessSubject(c.user), []byte(strings.ReplaceAll(c.words, "%s", before.Epoch)), bustest.Timeout)
		if err != nil || strings.Contains(string(ack.Data), "error") {
			t.Fatalf("%s: %v", c.name, err)
		}
		heard, err := provision.Testimony(t.Context(), js)
		if err != nil || heard <= said {
			t.Errorf("%s: Testimony = %d, %v; was %d", c.name, heard, err, said)
		}
		said = heard
		r := apply(t, js, provision.Options{})
		if r.Restored != c.turn || (r.Log.Epoch != before.Epoch) != c.turn {
			t.Errorf("%s: %+v, was %+v", c.name, r, before)
		}
		if again := apply(t, js, provision.Options{}); again.Restored {
			t.Errorf("%s: it turns again", c.name)
		}
	}
}

// What was seen is lost: the log counts as one that was put back, once.
func TestEpochTurnsInDoubt(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	before := apply(t, js, provision.Options{}).Log
	file := filepath.Join(t.TempDir(), "seen.json")
	once := func() provision.Report {
		t.Helper()
		c := s.Config("provisioner")
		r, err := provision.Once(t.Context(), c.URL, c.Creds, file, []string{"local"}, bustest.Log(t))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := once(); r.Restored || r.Log.Epoch != before.Epoch {
		t.Errorf("without a file: %+v, was %+v", r, before)
	}
	for _, text := range []string{"", "{", "{}", "[1]"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := once()
		if !r.Restored || r.Log.Epoch == before.Epoch {
			t.Errorf("%q: %+v, was %+v", text, r, before)
		}
		if before = r.Log; once().Restored {
			t.Errorf("%q: it turns again", text)
		}
	}
	if err := provision.WriteMark(file, provision.Mark{Epoch: before.Epoch, Last: 7}); err != nil {
		t.Fatal(err)
	}
	if r := once(); !r.Restored {
		t.Errorf("before what was seen: %+v", r)
	}
}

// A consumer that the server can't change is made anew, and begins with the
// last event on each subject.
func TestApplyRenewsAConsumerThatCanNotBeChanged(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	c, err := js.Consumer(t.Context(), natsconfig.StreamEvents, "watcher")
	if err != nil {
		t.Fatal(err)
	}
	config := c.CachedInfo().Config
	if err := js.DeleteConsumer(t.Context(), natsconfig.StreamEvents, "watcher"); err != nil {
		t.Fatal(err)
	}
	config.DeliverPolicy, config.MaxWaiting = jetstream.DeliverNewPolicy, 8
	if _, err := js.CreateConsumer(t.Context(), natsconfig.StreamEvents, config); err != nil {
		t.Fatal(err)
	}
	operator := s.Connect(t, "operator")
	for _, app := range []string{"a", "a", "b"} {
		d := events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: app}}
		if _, err := operator.Publish(t.Context(), events.Cause{ID: rand.Text()}, d); err != nil {
			t.Fatal(err)
		}
	}
	r := apply(t, js, provision.Options{})
	if len(r.Renewed) != 1 || r.Renewed[0] != "watcher" || len(r.Created)+len(r.Changed) > 0 {
		t.Errorf("Apply = %+v", r)
	}
	c, err = js.Consumer(t.Context(), natsconfig.StreamEvents, "watcher")
	if err != nil {
		t.Fatal(err)
	}
	if info := c.CachedInfo(); info.Config.DeliverPolicy != jetstream.DeliverLastPerSubjectPolicy || info.NumPending != 2 {
		t.Errorf("it is %+v", info)
	}
	if again := apply(t, js, provision.Options{}); len(again.Renewed) > 0 {
		t.Errorf("and again: %+v", again)
	}
}

func TestMarkIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seen.json")
	if m, err := provision.ReadMark(file); err != nil || m != (provision.Mark{}) {
		t.Errorf("ReadMark of nothing = %+v, %v", m, err)
	}
	want := provision.Mark{Epoch: "e", Last: 7}
	if err := provision.WriteMark(file, want); err != nil {
		t.Fatal(err)
	}
	if m, err := provision.ReadMark(file); err != nil || m != want {
		t.Errorf("ReadMark = %+v, %v", m, err)
	}
}

// A sweep takes what nothing reaches, once it has found it so for the grace,
// and nothing else.
func TestSweep(t *testing.T) {
	s := bustest.Start(t)
	js := s.JetStream(t)
	watcher, applier := s.Connect(t, "watcher"), s.Connect(t, "applier-local")
	put := func(c *bus.Conn, prefix, text string) events.Blob {
		b, err := c.Blobs().Put(t.Context(), prefix, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	source := put(watcher, "plumbline.blob.watcher.source", "tree")
	list := put(watcher, "plumbline.blob.watcher.fleet.local", "list")
	objects := put(applier, "plumbline.blob.applier.local", "objects")
	lost := put(watcher, "plumbline.blob.watcher.source", "nobody's")
	late := put(watcher, "plumbline.blob.watcher.source", "late")
	publish := func(c *bus.Conn, cause string, p events.Payload, app string) {
		if _, err := c.Publish(t.Context(), events.Cause{ID: cause}, events.Draft{Data: p, Address: events.Address{Cluster: "local", Application: app}}); err != nil {
			t.Fatal(err)
		}
	}
	declared := events.Declaration{Application: "shop", Cluster: "local"}
	publish(watcher, "1", &events.CommitObserved{Declaration: declared, Source: source}, "shop")
	publish(watcher, "2", &events.FleetObserved{List: list}, "")
	publish(applier, "3", &events.ConvergenceApplied{Objects: events.AppliedObjects{Count: 60, Blob: &objects}}, "shop")

	now := time.Now()
	sweeper := provision.Sweeper{Grace: time.Hour, Now: func() time.Time { return now }}
	log, err := bus.Connect(t.Context(), s.Config("provisioner"), bustest.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	sweep := func(after time.Duration, deleted int) {
		t.Helper()
		now = now.Add(after)
		swept, err := sweeper.Sweep(context.Background(), js, log)
		if err != nil || len(swept.Deleted) != deleted {
			t.Fatalf("Sweep = %+v, %v; want %d deleted", swept, err, deleted)
		}
	}
	sweep(0, 0)
	sweep(59*time.Minute, 0)
	publish(watcher, "4", &events.CommitObserved{Declaration: declared, Source: late}, "shop")
	sweep(2*time.Minute, 1)
	sweep(2*time.Hour, 0)
	for name, c := range map[string]struct {
		blob events.Blob
		kept bool
	}{"source": {source, true}, "list": {list, true}, "late": {late, true}, "lost": {lost, false}} {
		if has, err := watcher.Blobs().Has(t.Context(), c.blob); err != nil || has != c.kept {
			t.Errorf("%s: Has = %v, %v", name, has, err)
		}
	}
	if has, err := applier.Blobs().Has(t.Context(), objects); err != nil || !has {
		t.Errorf("objects: Has = %v, %v", has, err)
	}
	// What was swept can be written again.
	if again := put(watcher, "plumbline.blob.watcher.source", "nobody's"); again != lost {
		t.Errorf("written again: %+v", again)
	}
}
