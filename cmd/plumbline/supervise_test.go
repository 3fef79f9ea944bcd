// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plumbline-dev/plumbline/internal/process"
)

func supervised() process.Env {
	return process.Env{Name: "sample", Log: slog.New(slog.DiscardHandler), Health: &process.Health{}}
}

func TestSuperviseStartsAgainLaterEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		begun := time.Now()
		var starts []time.Duration
		err := supervise(ctx, supervised(), func(ctx context.Context, env process.Env) error {
			env.Health.Check("sample", func() error { return nil })
			starts = append(starts, time.Since(begun).Truncate(time.Second))
			switch len(starts) {
			case 1:
				return errors.New("broken")
			case 2:
				panic("broken")
			case 3:
				return nil // ended by itself
			case 4:
				<-time.After(2 * time.Minute) // well for long enough
				return errors.New("broken")
			}
			cancel()
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("supervise = %v", err)
		}
		want := []time.Duration{0, 1 * time.Second, 3 * time.Second, 7 * time.Second, 128 * time.Second}
		for i := range want {
			if i >= len(starts) || starts[i] != want[i] {
				t.Fatalf("started at %v, want %v", starts, want)
			}
		}
	})
}

func TestSuperviseGivesUpWhatNeverBegins(t *testing.T) {
	err := supervise(t.Context(), supervised(), func(context.Context, process.Env) error {
		return errors.New("--fleet ./fleet is no Git repository")
	})
	if err == nil || !strings.Contains(err.Error(), "sample: --fleet ./fleet is no Git repository") {
		t.Errorf("supervise = %v", err)
	}
}

func TestRestartDelayIsBounded(t *testing.T) {
	for failures := range 1000 {
		if d := restartDelay(failures); d < restartFirst || d > restartMost {
			t.Fatalf("restartDelay(%d) = %s", failures, d)
		}
	}
}

func TestUpIsSaidOnceAllHaveBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &process.Health{}, &process.Health{}
		said := make(chan bool, 1)
		go func() { said <- allBegun(t.Context(), []*process.Health{first, second}) }()
		first.Check("bus", func() error { return nil })
		<-time.After(time.Second)
		select {
		case <-said:
			t.Fatal("one has not begun")
		default:
		}
		second.Check("bus", func() error { return errors.New("not ready, but begun") })
		if !<-said {
			t.Error("all have begun")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if allBegun(ended, []*process.Health{{}}) {
			t.Error("it waits for ever, and says yes")
		}
	})
}
