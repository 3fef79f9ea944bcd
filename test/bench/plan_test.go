// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

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
