// SPDX-License-Identifier: Apache-2.0

package failpoint_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/test/binaries"
)

// build compiles packages into a folder.
func build(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"build", "-buildvcs=false", "-o", dir}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", args, err, out)
	}
}

func TestActions(t *testing.T) {
	probe := filepath.Join(t.TempDir(), "probe")
	build(t, probe, "-tags", "failpoints", "./testdata/probe")
	for name, c := range map[string]struct {
		rules, out, err string
		killed          bool
		code            int
	}{
		"none":            {out: "1 <nil> false\n2 <nil> false\n3 <nil> false\n"},
		"of another":      {rules: "bus.after-publish=kill", out: "1 <nil> false\n2 <nil> false\n3 <nil> false\n"},
		"kill at once":    {rules: "applier.after-object=kill", killed: true, err: "failpoint applier.after-object kill 1\n"},
		"kill, the third": {rules: "applier.after-object=kill@3", killed: true, out: "1 <nil> false\n2 <nil> false\n", err: "failpoint applier.after-object kill 3\n"},
		"error, the second": {
			rules: "applier.after-object=error@2",
			out:   "1 <nil> false\n2 an error that a failpoint injected at applier.after-object false\n3 <nil> false\n",
			err:   "failpoint applier.after-object error 2\n",
		},
		"delay, then error": {
			rules: "applier.after-object=delay:20ms@1, applier.after-object=error@3",
			out:   "1 <nil> true\n2 <nil> false\n3 an error that a failpoint injected at applier.after-object false\n",
			err:   "failpoint applier.after-object delay 1\nfailpoint applier.after-object error 3\n",
		},
		"panic, the second": {
			rules: "applier.after-object=panic@2", code: 2,
			out: "1 <nil> false\n", err: "panic: a panic that a failpoint injected at applier.after-object",
		},
		"no such point":  {rules: "applier.after-objects=kill", code: 2, err: `there is no point "applier.after-objects"`},
		"no such action": {rules: "applier.after-object=halt", code: 2, err: `there is no action "halt"`},
		"no rule":        {rules: "kill", code: 2, err: `"kill" is no rule`},
		"no count":       {rules: "applier.after-object=kill@0", code: 2, err: "from 1 on"},
		"no duration":    {rules: "applier.after-object=delay:long", code: 2, err: "invalid duration"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), probe, "3")
			cmd.Env = append(os.Environ(), "PLUMBLINE_FAILPOINTS="+c.rules)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok {
				t.Fatal("no wait status")
			}
			if killed := status.Signaled() && status.Signal() == syscall.SIGKILL; killed != c.killed {
				t.Errorf("killed: %v, want %v (%v)", killed, c.killed, err)
			}
			if !c.killed && cmd.ProcessState.ExitCode() != c.code {
				t.Errorf("exit code %d, want %d", cmd.ProcessState.ExitCode(), c.code)
			}
			if stdout.String() != c.out {
				t.Errorf("it says\n%swant\n%s", &stdout, c.out)
			}
			if !strings.Contains(stderr.String(), c.err) || c.err == "" && stderr.Len() > 0 {
				t.Errorf("standard error is %q, want %q", &stderr, c.err)
			}
		})
	}
}

// What a file says kills who reads it, where it says that of this point.
func TestContentKills(t *testing.T) {
	probe := filepath.Join(t.TempDir(), "probe")
	build(t, probe, "-tags", "failpoints", "./testdata/probe")
	for content, killed := range map[string]bool{
		"kind: ConfigMap\n": false,
		"# plumbline-failpoint: renderer.mid-render=kill\n":  false,
		"# plumbline-failpoint: renderer.child-reads=kill\n": true,
	} {
		cmd := exec.CommandContext(t.Context(), probe, "read", content)
		_ = cmd.Run() // how it ended is asked below
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || (status.Signaled() && status.Signal() == syscall.SIGKILL) != killed {
			t.Errorf("%q: %v, want killed: %v", content, cmd.ProcessState, killed)
		}
	}
}

// A command that is built without the tag and without the race detector, as it
// is released but for its tables for debuggers, holds neither a point nor what
// would read the environment; one that is built for the tests holds them all.
func TestReleasedCommandsHoldNone(t *testing.T) {
	commands := []string{"plumbline", "watcher", "renderer", "applier", "auditor", "notifier"}
	traces := map[string][]string{"bus": {"PLUMBLINE_FAILPOINTS", "PLUMBLINE_CLOCK", "internal/failpoint."}, "renderer": {"plumbline-failpoint: "}}
	for _, p := range failpoint.Points() {
		owner, _, _ := strings.Cut(string(p), ".")
		traces[owner] = append(traces[owner], string(p))
	}
	released, err := binaries.Build(t.Context(), binaries.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	broken, err := binaries.Build(t.Context(), binaries.Kind{Tags: "failpoints"})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		release, test := read(t, released, command), read(t, broken, command)
		for owner, texts := range traces {
			for _, text := range texts {
				if bytes.Contains(release, []byte(text)) {
					t.Errorf("the released %s holds %q", command, text)
				}
				if (owner == "bus" || owner == command || command == "plumbline") && !bytes.Contains(test, []byte(text)) {
					t.Errorf("the %s for tests lacks %q", command, text)
				}
			}
		}
	}
}

func read(t *testing.T, dir, command string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, command))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
