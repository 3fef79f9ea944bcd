// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/test/faults"
)

// What a seed that fails prints, read by make and then by this command, is the
// very plan that failed.
func TestAgainIsTheSamePlan(t *testing.T) {
	for _, args := range [][]string{
		nil,
		{"-duration", "30s", "-apps", "12", "-steps", "6", "-probes", "0"},
		{"-duration", "2m", "-faults", "F3,bus-down"},
		{"-duration", "2s"},
		{"-faults", "F6,F15", "-hold", "10m"},
	} {
		failed, err := parse(args)
		if err != nil {
			t.Fatal(err)
		}
		command := failed.shape.Again(7, failed.names)
		again, err := parse(made(t, command))
		if err != nil {
			t.Fatalf("%s: %v", command, err)
		}
		want := faults.NewPlan(7, failed.shape, failed.kinds).String()
		if got := faults.NewPlan(again.seed, again.shape, again.kinds).String(); got != want {
			t.Errorf("%s is another plan than that of %q", command, args)
		}
		if again.forever || again.plan {
			t.Errorf("%s does not run one seed", command)
		}
	}
}

// made are the arguments that make starts this command with.
func made(t *testing.T, command string) []string {
	t.Helper()
	fields := strings.Fields(command)
	cmd := exec.CommandContext(t.Context(), fields[0], append([]string{"-n"}, fields[1:]...)...) //nolint:gosec // what was just printed
	cmd.Dir, cmd.Env = filepath.Join("..", "..", ".."), append(os.Environ(), "MAKEFLAGS=")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	_, line, ok := strings.Cut(string(out), "go run ./test/faults/soak ")
	line, _, _ = strings.Cut(line, "\n") // a make within make says where it is, too
	if !ok {
		t.Fatalf("%s does not start this command:\n%s", command, out)
	}
	words, err := exec.CommandContext(t.Context(), "sh", "-c", `printf '%s\n' `+line).Output() //nolint:gosec // a line of the Makefile's
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(words), "\n"), "\n")
}
