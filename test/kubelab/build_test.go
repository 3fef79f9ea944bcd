// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// writeModule makes a module of one program, in place of tools/kubelab.
func writeModule(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":  "module example.com/lab\n\ngo 1.26.0\n",
		"main.go": program,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestBuildWritesWholeBinary(t *testing.T) {
	r := recipe{source: writeModule(t, "package main\n\nfunc main() {}\n"), kubernetes: "1.37.2"}
	binary := filepath.Join(t.TempDir(), "kubelab")
	var progress strings.Builder
	if err := r.build(t.Context(), binary, &progress); err != nil {
		t.Fatal(err)
	}
	if !isExecutable(binary) {
		t.Error("no executable was written")
	}
	for _, want := range []string{"kubelab: building", "kubelab: built after"} {
		if !strings.Contains(progress.String(), want) {
			t.Errorf("progress does not say %q: %s", want, &progress)
		}
	}
}

func TestFailedBuildSaysWhyAndLeavesNothing(t *testing.T) {
	r := recipe{source: writeModule(t, "package main\n\nfunc main() { undefined() }\n"), kubernetes: "1.37.2"}
	dir := t.TempDir()
	var progress strings.Builder
	err := r.build(t.Context(), filepath.Join(dir, "kubelab"), &progress)
	if err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("the error does not hold the compiler's message: %v", err)
	}
	if !strings.Contains(progress.String(), "kubelab: failed after") {
		t.Errorf("progress: %s", &progress)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestCanceledBuildEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := recipe{source: writeModule(t, "package main\n\nfunc main() {}\n"), kubernetes: "1.37.2"}
	err := r.build(ctx, filepath.Join(t.TempDir(), "kubelab"), &strings.Builder{})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestRecipeKnowsKubernetes(t *testing.T) {
	r, err := newRecipe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	args := strings.Join(r.args("out"), " ")
	for _, want := range []string{"gitVersion=v1.37.2 ", "gitMajor=1 ", "gitMinor=37 "} {
		if !strings.Contains(args, want) {
			t.Errorf("%q is not in %s", want, args)
		}
	}
}

func TestSourceKey(t *testing.T) {
	dir := writeModule(t, "package main\n\nfunc main() {}\n")
	key := func(recipe string) string {
		t.Helper()
		got, err := sourceKey(dir, recipe)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("package main\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	first := key("go1.26")
	write("README.md")
	write("main_test.go")
	if key("go1.26") != first {
		t.Error("a document or a test changes the key")
	}
	if key("go1.27") == first {
		t.Error("another toolchain has the same key")
	}
	for _, name := range []string{"other.go", "go.sum", "policy.yaml", "go.mod"} {
		before := key("go1.26")
		write(name)
		if key("go1.26") == before {
			t.Errorf("%s does not change the key", name)
		}
	}
}

func TestLockFileAdmitsOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var inside, waited atomic.Int32
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			unlock, err := lockFile(t.Context(), path, func() { waited.Add(1) })
			if err != nil {
				t.Error(err)
				return
			}
			if inside.Add(1) != 1 {
				t.Error("two hold the lock")
			}
			inside.Add(-1)
			unlock()
		})
	}
	wait.Wait()

	unlock, err := lockFile(t.Context(), path, func() {})
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = lockFile(ctx, path, cancel)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was canceled: %v", err)
	}
	if ctx.Err() == nil {
		t.Error("waiting was not called")
	}
}

func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		r := newReport(&out, 4)
		r.start()
		feed := func(text string) {
			t.Helper()
			if _, err := r.Write([]byte(text)); err != nil {
				t.Fatal(err)
			}
			<-time.After(lineInterval) // by the bubble's clock
			synctest.Wait()
		}
		feed("go: downloading k8s.io/api v0.37.2\ngo: downloading k8s.io/kub")
		feed("ernetes v1.37.2\nk8s.io/api/core/v1\nerrors\n# example.com/lab\n")
		feed("./main.go:3:15: undefined: x\n")
		r.finish(errors.New("exit status 1"))

		want := `kubelab: building Kubernetes from source; this happens once and takes some minutes
kubelab: 1 modules downloaded, 15s
kubelab: 2 of at most 4 packages compiled, 30s
kubelab: 2 of at most 4 packages compiled, 45s
kubelab: failed after 45s
`
		if out.String() != want {
			t.Errorf("got\n%s", &out)
		}
		if got := r.messages(); got != "# example.com/lab\n./main.go:3:15: undefined: x\n" {
			t.Errorf("messages: %q", got)
		}
	})
}
