// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/internal/status"
)

func TestRefusalsArePrinted(t *testing.T) {
	now := time.Now()
	var out bytes.Buffer
	if err := printRefusals(&out, nil, now); err != nil || out.Len() != 0 {
		t.Errorf("none: %q, %v", out.String(), err)
	}
	all := []status.Refusal{{File: "a.yaml", Message: "a.yaml:2: no YAML\x1b", Since: now.Add(-time.Minute)}}
	if err := printRefusals(&out, all, now); err != nil {
		t.Fatal(err)
	}
	const want = "\nRefused in the fleet, and holding no application:\n  for 60s    a.yaml:2: no YAML\ufffd\n"
	if got := out.String(); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}
