// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/canary"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/proxy"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// bare is a world without processes: only what is around them is there.
func bare(t *testing.T) *World {
	t.Helper()
	record, err := NewRecorder(filepath.Join(t.TempDir(), "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	links := &rig.Links{Bus: map[string]*proxy.Bus{}, Kube: map[string]*proxy.Web{}}
	if links.Kube["applier"], err = proxy.NewWeb(server.URL); err != nil {
		t.Fatal(err)
	}
	if links.Git, err = proxy.NewWeb(server.URL); err != nil {
		t.Fatal(err)
	}
	if links.Slack, err = proxy.NewWeb(server.URL); err != nil {
		t.Fatal(err)
	}
	echo := listen(t)
	for _, service := range services {
		if links.Bus[service], err = proxy.NewBus(echo, 1); err != nil {
			t.Fatal(err)
		}
	}
	git := gitserver.New(t, gitserver.Options{})
	slack, err := slackserver.Listen(slackserver.Options{})
	if err != nil {
		t.Fatal(err)
	}
	otlp, err := otlpserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, b := range links.Bus {
			_ = b.Close()
		}
		for _, w := range []*proxy.Web{links.Kube["applier"], links.Git, links.Slack} {
			_ = w.Close()
		}
		server.Close()
		_, _, _ = slack.Close(), otlp.Close(), record.Close()
	})
	return &World{Rig: &rig.Rig{Git: git, Links: links}, Slack: slack, OTLP: otlp, Plan: Plan{Repositories: []string{"repo"}, Canaries: canary.New(1, 10)}, record: record}
}

// listen is a server that sends back what it is sent.
func listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(conn, conn) }()
		}
	}()
	return l.Addr().String()
}

// A fault that meets nothing does not count, and one that meets something does.
func TestOnlyWhatStrikesCounts(t *testing.T) {
	get := func(ctx context.Context, url string) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := http.DefaultClient.Do(request); err == nil {
			_ = resp.Body.Close()
		}
	}
	// As a fault may hold it, it is given up when that has met it.
	held := func(t *testing.T, link *proxy.Web) {
		ctx, cancel := context.WithCancel(t.Context())
		var asking sync.WaitGroup
		asking.Go(func() { get(ctx, link.URL()) })
		bustest.Eventually(t, "the fault to meet a request", func() bool { return link.Struck() > 0 })
		cancel()
		asking.Wait()
	}
	list := func(t *testing.T, w *World) {
		get(t.Context(), w.Git.URL+"/repo.git/info/refs?service=git-upload-pack")
	}
	ask := func(t *testing.T, w *World) {
		for range 200 { // some faults meet a share of what comes, at random
			get(t.Context(), w.Links.Kube["applier"].URL())
		}
	}
	watch := func(t *testing.T, w *World) { get(t.Context(), w.Links.Kube["applier"].URL()+"?watch=true") }
	fetch := func(t *testing.T, w *World) { held(t, w.Links.Git) }
	post := func(t *testing.T, w *World) { held(t, w.Links.Slack) }
	say := func(t *testing.T, w *World) { // PING to every service's bus
		for _, b := range w.Links.Bus {
			if conn, err := net.Dial("tcp", b.Address()); err == nil {
				defer conn.Close()
				_, _ = fmt.Fprint(conn, "PING\r\n")
			}
		}
		bustest.Eventually(t, "the fault to meet a PING", func() bool {
			met := 0
			for _, b := range w.Links.Bus {
				met += b.Struck()
			}
			return met > 0
		})
	}
	for name, meet := range map[string]func(*testing.T, *World){
		"git-down": list, "git-errors": list, "git-redirects": list, "git-cut": list, "git-refuses": list,
		"apiserver-answers": ask, "answers-cut": ask, "watch-gone": watch,
		"git-partition": fetch, "slack-partition": post,
		"bus-one-way": say, "bus-partition": say, "bus-refused": say, "bus-slow": say,
		"delivered-again": nil, "acks-lost": nil, "finalizer-stuck": nil, "fighter": nil, "collector-out": nil,
	} {
		t.Run(name, func(t *testing.T) {
			fault, ok := FaultNamed(name)
			if !ok {
				t.Fatal("no such fault")
			}
			strikes := func(w *World, meet func(*testing.T, *World)) bool {
				lift, err := fault.Inject(t.Context(), w, rand.New(rand.NewPCG(3, 4)))
				if err != nil {
					t.Fatal(err)
				}
				if meet != nil {
					meet(t, w)
				}
				if lift != nil {
					if err := lift(context.WithoutCancel(t.Context())); err != nil {
						t.Fatal(err)
					}
				}
				return !w.missed
			}
			if strikes(bare(t), nil) {
				t.Error("it struck, and nothing was there")
			}
			if meet != nil && !strikes(bare(t), meet) {
				t.Error("it did not strike")
			}
		})
	}
}
