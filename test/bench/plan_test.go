// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	change := kubelab.Request{Verb: "patch", Resource: "configmaps", Namespace: "app-1", Name: "web"}
	record := kubelab.Request{Verb: "update", Resource: "configmaps", Namespace: inventories, Name: "app-1"}
	other := kubelab.Request{Verb: "get", Resource: "configmaps", Namespace: "app-1", Name: "web"}
	for name, c := range map[string]struct {
		asked     []kubelab.Request
		revisions int
		want      int
	}{
		"nothing":                     {nil, 0, 0},
		"a revision":                  {[]kubelab.Request{record, change, record}, 1, 0},
		"a cheap one":                 {[]kubelab.Request{change, record}, 1, 0},
		"a cheap one hides no change": {[]kubelab.Request{change, record, change}, 1, 1},
		"a cheap one hides no record": {[]kubelab.Request{record, record, record}, 1, 1},
		"a look":                      {[]kubelab.Request{record, change, other}, 1, 1},
		"what is applied by nobody":   {[]kubelab.Request{record, change}, 0, 2},
	} {
		if got := tollOf(c.asked).beyond(c.revisions); got != c.want {
			t.Errorf("%s: %d requests, want %d", name, got, c.want)
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
