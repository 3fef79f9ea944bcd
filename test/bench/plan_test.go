// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// A page that tells of a failure makes it no success.
func TestAFailureIsTheEndOfTheBench(t *testing.T) {
	failed := errors.New("no marker was seen")
	dir := t.TempDir()
	o := options{doc: filepath.Join(dir, "page.md"), json: filepath.Join(dir, "page.json")}
	err := run(t.Context(), o, io.Discard, io.Discard, func(context.Context, options, *report, io.Writer) error { return failed })
	if !errors.Is(err, failed) {
		t.Errorf("run = %v", err)
	}
	for _, file := range []string{o.doc, o.json} {
		if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func TestRequestsOfSupersededRevisions(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	stints := []stint{
		{"app-1", 7, "convergence.applied", at(100), at(200)},
		{"app-1", 8, "convergence.superseded", at(200), at(300)},
		{"app-2", 9, "convergence.applied", at(0), at(400)},
	}
	request := func(user, verb, namespace, name string, ms int) kubelab.Request {
		return kubelab.Request{User: user, Verb: verb, Resource: "configmaps", Namespace: namespace, Name: name, Code: 200, Received: at(ms)}
	}
	const applier, auditor = "plumbline-applier-local", "plumbline-auditor-local"
	change := func(ms int) kubelab.Request { return request(applier, "patch", "app-1", "web", ms) }
	record := func(ms int) kubelab.Request { return request(applier, "update", inventories, "inventory.app-1", ms) }
	fence := func(ms int) kubelab.Request { return request(applier, "get", inventories, "inventory.app-1", ms) }
	for name, c := range map[string]struct {
		asked []kubelab.Request
		want  toll
		named string // of each that is
	}{
		"nothing":                   {},
		"a revision":                {[]kubelab.Request{record(110), change(150), record(190)}, toll{changes: 1, records: 2}, ""},
		"its fence read again":      {[]kubelab.Request{fence(150)}, toll{others: 1}, "get configmaps plumbline-system/inventory.app-1 by plumbline-applier-local, answered 200, for the revision of sequence 7, convergence.applied"},
		"one that is superseded":    {[]kubelab.Request{change(250)}, toll{superseded: 1}, "sequence 8, convergence.superseded"},
		"its fence":                 {[]kubelab.Request{fence(250)}, toll{superseded: 1}, "sequence 8, convergence.superseded"},
		"before any":                {[]kubelab.Request{record(50)}, toll{superseded: 1}, "in no work that an event tells of"},
		"after all":                 {[]kubelab.Request{change(350)}, toll{superseded: 1}, "in no work that an event tells of"},
		"a watch begun anew":        {[]kubelab.Request{request(applier, "list", "", "", 150)}, toll{others: 1}, "by plumbline-applier-local, answered 200, for no revision"},
		"a look at what is applied": {[]kubelab.Request{request(auditor, "get", "app-1", "web", 150)}, toll{others: 1}, "by plumbline-auditor-local, answered 200, for no revision"},
	} {
		got := tollOf(chargesOf(c.asked, stints))
		for _, line := range got.named {
			if c.named == "" || !strings.Contains(line, c.named) {
				t.Errorf("%s: named %q", name, line)
			}
		}
		if n := len(got.named); (n > 0) != (c.named != "") {
			t.Errorf("%s: %d named", name, n)
		}
		got.named = nil
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// What fails is in the report, on the page too, and doesn't end the rest.
func TestFailureOfOnePartDoesNotEndTheRest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &report{}
	var ran []string
	do := func(name string, err error) {
		r.attempt(ctx, io.Discard, name, func() error {
			ran = append(ran, name)
			return err
		})
	}
	do("first", nil)
	do("poll", errors.New("no marker was seen\nthe bus saw last: nothing"))
	do("train", nil)
	cancel()
	do("kill", nil) // the bench is ended
	if got := strings.Join(ran, " "); got != "first poll train" {
		t.Errorf("ran %s", got)
	}
	for what, write := range map[string]func(io.Writer) error{
		"page": r.writeDoc, "JSON": r.writeJSON, "table": func(w io.Writer) error { r.print(w); return nil },
	} {
		var text strings.Builder
		if err := write(&text); err != nil || !strings.Contains(text.String(), "poll") || !strings.Contains(text.String(), "no marker was seen") {
			t.Errorf("the %s doesn't tell of the failure (%v):\n%s", what, err, text.String())
		}
	}
}

// What each process used and held is told of every part, the time and the
// memory in a line each.
func TestEachProcessIsToldOf(t *testing.T) {
	r := &report{}
	for i := range time.Duration(3) {
		before := map[string]spent{"applier": {CPU: time.Second}, "notifier": {}}
		now := map[string]spent{"applier": {CPU: (2 + i) * time.Second, Resident: 50 * mib}, "notifier": {CPU: 500 * time.Millisecond, Resident: 30 * mib}}
		r.used("one", 100, before, now)
	}
	r.judge()
	if got, want := strings.Join(r.processLines(), "\n"), "one, N=100 (MiB): applier 50, notifier 30\none, N=100 (s CPU): applier 2.00, notifier 0.50"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
