// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"testing"
	"time"
)

// budget bounds the whole corpus: many times what it takes. What is waited for
// by then doesn't come.
const budget = 12 * time.Minute

// each judges every input in a test of its own, for as long as that to which
// they are given is alive: what is not judged is said once.
func (s *stage) each(t *testing.T, inputs []Input, judge func(*testing.T, Input)) {
	t.Helper()
	for i, in := range inputs {
		if s.alive.Err() != nil {
			t.Errorf("%d inputs were not judged, from %s on: %v", len(inputs)-i, in.Name, context.Cause(s.alive))
			return
		}
		t.Run(in.Name, func(t *testing.T) { judge(t, in) })
	}
}

// report says where everything stands, for who looks into a failure: what each
// consumer has left to do, and what each process said last.
func (s *stage) report(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	pending, err := s.Pending(ctx)
	if err != nil {
		t.Logf("what the consumers have left to do can't be asked: %v", err)
	}
	for _, p := range pending {
		t.Logf("the %s has answered all up to %d, was given %d more (%d of them again), and has %d to be given", p.Service, p.From, p.Unacked, p.Again, p.Waiting)
	}
	for _, name := range processes() {
		p := s.Process(name)
		t.Logf("the %s complains:\n%s\nand says last:\n%s", name, p.Complaints(8), p.Tail(5))
	}
}
