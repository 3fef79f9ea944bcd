// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// longLog publishes revisions of several applications, five events each.
func longLog(tb testing.TB, server *bustest.Server, applications, revisions int) {
	tb.Helper()
	l, err := server.Connect(tb, "reader").Log(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	streams := map[string]jetstream.JetStream{}
	for _, user := range []string{"watcher", "renderer", "applier-local", "auditor-local"} {
		js, err := jetstream.New(server.Dial(tb, user), jetstream.WithPublishAsyncMaxPending(4000))
		if err != nil {
			tb.Fatal(err)
		}
		streams[user] = js
	}
	flush := func() {
		for _, js := range streams {
			select {
			case <-js.PublishAsyncComplete():
			case <-time.After(bustest.Timeout):
				tb.Fatal("the log doesn't take the events")
			}
		}
	}
	put := func(user string, a events.Address, sequence uint64, id string, data events.Payload) {
		e := events.Event{
			ID: events.TypeOf(data).Name() + "-" + fmt.Sprintf("%032x", id), Source: "plumbline://" + user, Type: events.TypeOf(data), Address: a,
			Time: sceneClock, StageStart: sceneClock, StageEnd: sceneClock, Epoch: l.Epoch, Sequence: sequence, Data: data,
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		}
		headers, body, err := events.Encode(e)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := streams[user].PublishMsgAsync(&nats.Msg{Subject: e.Type.Subject(a), Header: headers, Data: body}); err != nil {
			tb.Fatal(err)
		}
	}
	first := l.Last
	for n := range revisions {
		revisionOf := func(app int) events.Revision {
			return events.Revision{
				Commit: longCommit(n), Tree: longCommit(n), Ref: "refs/heads/main", Title: "Change it", Cause: "commit", Trigger: "poll",
				Author: events.Person{Name: "Ada", When: sceneClock}, Committer: events.Person{Name: "Ada", When: sceneClock},
				Previous: longCommit(n + app), Signature: events.Signature{Verdict: "unsigned"},
			}
		}
		for app := range applications {
			a := events.Address{Cluster: local, Application: fmt.Sprintf("app-%03d", app)}
			put("watcher", a, 0, fmt.Sprint(n, app), &events.CommitObserved{
				Revision: revisionOf(app), Declaration: events.Declaration{Application: a.Application, Cluster: local}, DeclarationDigest: bundleX, FleetCommit: commitA, Source: blob("plumbline.blob.watcher.source.s"),
			})
		}
		flush()
		for app := range applications {
			a := events.Address{Cluster: local, Application: fmt.Sprintf("app-%03d", app)}
			id, sequence := fmt.Sprint(n, app), first+uint64(app)+1
			converging := events.Converging{Revision: revisionOf(app), Digest: bundleX, Cause: "revision"}
			put("renderer", a, sequence, id, &events.ManifestsRendered{Manifests: events.Manifests{
				Revision: revisionOf(app), Digest: bundleX, Bundle: blob("plumbline.blob.renderer.local.b"), Objects: events.DeclaredObjects{Count: 3},
				Declaration: events.Declaration{Application: a.Application, Cluster: local}, DeclarationDigest: bundleX, ReadSet: events.ReadSet{Digest: bundleX, Paths: 4},
			}})
			put("applier-local", a, sequence, id, &events.ConvergenceApplied{Converging: converging, Requests: 3})
			put("applier-local", a, sequence, id, &events.ConvergenceCompleted{Converging: converging, After: events.Duration(time.Second)})
			k := a
			k.Key = "0a0b"
			put("auditor-local", k, sequence, id, &events.DivergenceResolved{Divergence: events.Divergence{
				Key: "0a0b", Kind: events.DivergenceChanged, Since: sceneClock, Digest: bundleX, Revision: revisionOf(app),
			}, How: "healed"})
		}
		flush()
		if l, err = server.Connect(tb, "reader").Log(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		first = l.Last
	}
}

func longCommit(n int) string { return fmt.Sprintf("%08x%032x", n*2654435761%(1<<32), n) }

// BenchmarkTrace finds revisions in a log of 100,000 events of 400
// applications.
func BenchmarkTrace(b *testing.B) {
	server := bustest.Start(b)
	longLog(b, server, 400, 50)
	for name, args := range map[string][]string{
		"application": {"app-123"},
		"commit":      {longCommit(20)[:12], "--app", "app-123"},
		"any commit":  {longCommit(20)[:12], "--app", ""},
		"event":       {fmt.Sprintf("convergence.completed-%032x", fmt.Sprint(20, 123))},
	} {
		b.Run(name, func(b *testing.B) {
			conn := server.Connect(b, "reader")
			f := finder{conn: conn}
			if len(args) > 1 {
				f.app = args[2]
			}
			for b.Loop() {
				found, err := f.find(b.Context(), args[0])
				if err == nil {
					err = printTraces(io.Discard, formatTable, found, sceneClock)
				}
				if err != nil && name != "any commit" {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("history", func(b *testing.B) {
		conn := server.Connect(b, "reader")
		for b.Loop() {
			if h, err := readHistory(b.Context(), conn, "app-123"); err != nil || len(h.Revisions) != 50 {
				b.Fatalf("%d revisions: %v", len(h.Revisions), err)
			}
		}
	})
	b.Run("status", func(b *testing.B) {
		conn := server.Connect(b, "reader")
		for b.Loop() {
			if _, err := latest(b.Context(), conn); err != nil {
				b.Fatal(err)
			}
		}
	})
}
