// SPDX-License-Identifier: Apache-2.0

package failpoint_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// The wall clock follows a file while the process runs, in how far it is off and
// in how fast it goes, and what is counted without it goes on as it was.
func TestClock(t *testing.T) {
	dir := t.TempDir()
	probe, file := filepath.Join(dir, "probe"), filepath.Join(dir, "clock")
	build(t, probe, "-tags", "failpoints", "./testdata/probe")
	put := func(off string) {
		if err := os.WriteFile(file, []byte(off), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("-3h")
	cmd := exec.CommandContext(t.Context(), probe, "clock")
	cmd.Env = append(os.Environ(), "PLUMBLINE_CLOCK="+file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	// ask asks the probe for its wall clock, and how long it runs.
	ask := func() (wall time.Time, runs time.Duration) {
		if _, err := io.WriteString(in, "?\n"); err != nil || !lines.Scan() {
			t.Fatal("the probe is gone", err)
		}
		var unix, elapsed int64
		if _, err := fmt.Sscan(lines.Text(), &unix, &elapsed); err != nil {
			t.Fatal(err)
		}
		if time.Duration(elapsed) < 0 || time.Duration(elapsed) > time.Minute {
			t.Errorf("elapsed time jumps with the wall clock: %s", time.Duration(elapsed))
		}
		return time.Unix(0, unix), time.Duration(elapsed)
	}
	// off is how far the probe's clock is off.
	off := func() time.Duration {
		wall, _ := ask()
		return time.Until(wall).Round(time.Minute)
	}
	for _, want := range []time.Duration{-3 * time.Hour, time.Hour, -10 * time.Minute, 0} {
		put(want.String())
		for deadline := time.Now().Add(10 * time.Second); off() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("the clock is %s off, want %s", off(), want)
			}
		}
	}
	for _, rate := range []float64{2, 0.5} {
		began := time.Now()
		put(fmt.Sprintf("0s %g %d", rate, began.UnixNano()))
		goesAt(t, rate, began, ask)
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// goesAt waits until a clock goes at a rate, and has since began. Each answer of
// ask is of some moment between the question and when it was heard.
func goesAt(t *testing.T, rate float64, began time.Time, ask func() (wall time.Time, runs time.Duration)) {
	t.Helper()
	const slack = 100 * time.Millisecond
	var from time.Time
	var since time.Duration
	wrong := "it has not begun to"
	for deadline := began.Add(10 * time.Second); ; {
		asked := time.Since(began)
		wall, runs := ask()
		heard := time.Since(began)
		gone := wall.Sub(began.Round(0)) // on it
		if from.IsZero() {               // it goes like that from began on, whenever it has read the file
			if rate > 1 && gone-heard > slack || rate < 1 && asked-gone > slack {
				from, since = wall, runs
			}
		} else if runs-since > 300*time.Millisecond {
			got := float64(wall.Sub(from)) / float64(runs-since)
			least, most := time.Duration(rate*float64(asked))-slack, time.Duration(rate*float64(heard))+slack
			if got > 0.95*rate && got < 1.05*rate && gone > least && gone < most {
				return
			}
			wrong = fmt.Sprintf("it goes at %.2f, and within %s to %s of ours %s have gone by on it", got, asked, heard, gone)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the clock doesn't go at %g: %s", rate, wrong)
		}
	}
}
