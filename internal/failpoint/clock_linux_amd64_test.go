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

// The wall clock follows a file while the process runs, and what is counted
// without it goes on as it was.
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
	// off is how far the probe's clock is off, and whether its elapsed time
	// runs as ours does.
	off := func() time.Duration {
		if _, err := io.WriteString(in, "?\n"); err != nil || !lines.Scan() {
			t.Fatal("the probe is gone", err)
		}
		var wall, elapsed int64
		if _, err := fmt.Sscan(lines.Text(), &wall, &elapsed); err != nil {
			t.Fatal(err)
		}
		if time.Duration(elapsed) < 0 || time.Duration(elapsed) > time.Minute {
			t.Errorf("elapsed time jumps with the wall clock: %s", time.Duration(elapsed))
		}
		return time.Until(time.Unix(0, wall)).Round(time.Minute)
	}
	for _, want := range []time.Duration{-3 * time.Hour, time.Hour, -10 * time.Minute, 0} {
		put(want.String())
		for deadline := time.Now().Add(10 * time.Second); off() != want; {
			if time.Now().After(deadline) {
				t.Fatalf("the clock is %s off, want %s", off(), want)
			}
		}
	}
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
