// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// home is the root of the checkout; scripts run elsewhere.
var home = func() string {
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		panic(err)
	}
	return dir
}()

var update = flag.Bool("update", false, "write the wanted outputs of the scripts anew")

func TestMain(m *testing.M) { kubelab.Main(m) }

// version is that of the command line and of who plays the renderer.
const version = "v0.9.0"

// Each script speaks to a bus of its own and has a namespace of its own, $NS,
// in the cluster of $KUBECONFIG. The commands of a script are in play_test.go;
//
//	scrub
//
// leaves what the last command printed in the file scrubbed, without what
// differs from run to run, and
//
//	recorded NAME
//
// compares that with docs/cli.md. go test -update writes it anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	programs, err := binaries.Build(t.Context(), binaries.Kind{Version: version})
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			s := newStage(t, bustest.Start(t), kubelab.ForTest(t), name)
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				RequireExplicitExec: true,
				UpdateScripts:       *update,
				Setup:               func(env *testscript.Env) error { return s.prepare(env, programs) },
				Cmds:                s.commands(),
			})
		})
	}
}

var scrubs = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://kubernetes.example.com"},
	{regexp.MustCompile(`nats://127\.0\.0\.1:\d+`), "nats://127.0.0.1:4222"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC`), "2026-03-01 12:00:00 UTC"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT[^"]*"`), `"…"`},
	{regexp.MustCompile(`for \d+s`), "for 9s"},
	{regexp.MustCompile(`"(uid|digest|resourceVersion)":"[^"]*"`), `"$1":"…"`},
	{regexp.MustCompile(`sha256:[0-9a-f]{64}`), "sha256:…"},
	{regexp.MustCompile(`v1\.\d+\.\d+(-[a-z0-9.]+)?`), "v1.37.2"},
	{regexp.MustCompile(`\d+ KiB stored`), "12 KiB stored"},
	{regexp.MustCompile(`is \d+s old`), "is 9s old"},
	{regexp.MustCompile(`epoch [0-9a-f]{20}`), "epoch 5f0c9a3e71b2d4468ac0"},
}

// scrub writes what the last command printed, without what differs from run to
// run, and checks that it fits 100 columns.
func (s *stage) scrub(ts *testscript.TestScript, _ bool, args []string) {
	got := ts.ReadFile("stdout")
	got = strings.ReplaceAll(got, s.namespace, "shop")
	for _, r := range scrubs {
		got = r.find.ReplaceAllString(got, r.put)
	}
	got = strings.ReplaceAll(got, ts.Getenv("WORK"), "/work")
	for line := range strings.SplitSeq(got, "\n") {
		if n := len([]rune(line)); n > 100 && !strings.HasPrefix(line, "{") && len(args) == 0 {
			ts.Fatalf("a line of %d columns: %s", n, line)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("scrubbed"), []byte(got), 0o600))
}

// recorded compares what is scrubbed with a recording in docs/cli.md: the block
// after its name, whose first line is the command itself.
func recorded(ts *testscript.TestScript, _ bool, args []string) {
	manual := filepath.Join(home, "docs", "cli.md")
	text, err := os.ReadFile(manual)
	ts.Check(err)
	mark := "<!-- recording: " + args[0] + " -->\n```console\n"
	before, rest, ok := strings.Cut(string(text), mark)
	if !ok {
		ts.Fatalf("%s has no recording %q", manual, args[0])
	}
	block, after, _ := strings.Cut(rest, "```\n")
	command, want, _ := strings.Cut(block, "\n")
	got := ts.ReadFile("scrubbed")
	switch {
	case want == got:
	case *update:
		ts.Check(os.WriteFile(manual, []byte(before+mark+command+"\n"+got+"```\n"+after), 0o600))
	default:
		ts.Fatalf("the recording %s of %s differs (-update writes it anew):\n%s\nis now\n%s", args[0], manual, want, got)
	}
}
