// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// docs/subscribers.md shows the program's follow and read as they stand here.
func TestTheDocumentShowsThis(t *testing.T) {
	code, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../subscribers.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, ok := strings.Cut(string(page), "```go\n")
	shown, _, closed := strings.Cut(shown, "```")
	if !ok || !closed || !strings.Contains(string(code), shown) {
		t.Errorf("the block in docs/subscribers.md is not part of main.go")
	}
}

func TestEachEventOnceInOrderAcrossALostConnection(t *testing.T) {
	s := bustest.Start(t)
	auditor := s.Connect(t, "auditor-local")
	published := 0
	publish := func(n int) {
		for range n {
			published++
			at := events.Address{Cluster: "local", Application: "shop", Key: fmt.Sprint(published)}
			o := events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: fmt.Sprint(published)}
			_, err := auditor.Publish(t.Context(), events.Cause{ID: at.Key}, events.Draft{Address: at, Data: &events.DivergenceDetected{
				Divergence: events.Divergence{Key: at.Key, Kind: events.DivergenceChanged, Object: &o, Since: time.Now(), Message: "number " + at.Key},
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	publish(300) // more than one batch

	var mu sync.Mutex
	var got []string
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	cfg := s.Config("reader")
	go func() {
		done <- follow(ctx, s.URL(), cfg.Creds, "plumbline.v1.divergence.>", time.Now().Add(-time.Hour), func(e cloudevents.Event) {
			var data struct{ Message string }
			_ = e.DataAs(&data)
			mu.Lock()
			defer mu.Unlock()
			got = append(got, data.Message)
		})
	}()
	heard := func(n int) {
		t.Helper()
		bustest.Eventually(t, fmt.Sprintf("%d events", n), func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) >= n
		})
	}
	heard(300)
	publish(5)
	heard(305)
	s.Restart(t)
	publish(5)
	heard(310)
	cancel()
	if err := <-done; err != context.Canceled { //nolint:errorlint // as it was given
		t.Error(err)
	}
	var want []string
	for n := range 310 {
		want = append(want, fmt.Sprintf("number %d", n+1))
	}
	if !slices.Equal(got, want) {
		t.Errorf("heard %d: %q", len(got), got)
	}
	if filepath.Base(cfg.Creds) != "reader.nk" {
		t.Errorf("not the reader: %s", cfg.Creds)
	}
}
