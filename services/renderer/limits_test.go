// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// good is an application that renders whatever happened before it.
var good = map[string]string{"app/a.yaml": configMap("a", "x")}

// rendersGood fails the test unless the pool still renders.
func rendersGood(t *testing.T, p *pool) {
	t.Helper()
	if b, f := renderFiles(t, p, good, "app"); f != nil || len(b.Objects) != 1 {
		t.Errorf("what comes after it fails: %v", f)
	}
}

// aliases is a YAML text in which each of n levels repeats the one before it
// ten times.
func aliases(n int) string {
	var b strings.Builder
	b.WriteString("l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "l%d: &l%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestAdvisoryC6BombsKillNothingButTheirRender(t *testing.T) {
	object := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	deep := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: " + strings.Repeat("[", 100_000) + "\n"
	kustomization := map[string]string{"app/kustomization.yaml": "resources: [a.yaml]\n"}
	wide := map[string]string{}
	for i := range 8 {
		wide[fmt.Sprintf("app/%d.yaml", i)] = strings.ReplaceAll(object, "name: a", fmt.Sprintf("name: a%d", i)) + "data: {x: \"" + strings.Repeat("y", 1<<20) + "\"}\n"
	}
	for name, c := range map[string]struct {
		files   map[string]string
		reasons string // any of them
	}{
		"aliases":                    {map[string]string{"app/a.yaml": object + "data:\n  " + strings.ReplaceAll(aliases(9), "\n", "\n  ")}, "syntax"},
		"aliases in kustomize":       {with(kustomization, map[string]string{"app/a.yaml": object + aliases(9)}), "memory_limit timeout kustomize syntax crashed"},
		"aliases in a kustomization": {map[string]string{"app/kustomization.yaml": "resources: []\n" + aliases(9)}, "memory_limit timeout kustomize syntax crashed"},
		"deep":                       {map[string]string{"app/a.yaml": deep}, "syntax"},
		"deep in kustomize":          {with(kustomization, map[string]string{"app/a.yaml": deep}), "syntax kustomize crashed"},
		"deep JSON":                  {map[string]string{"app/a.json": strings.Repeat("[", 1_000_000)}, "syntax"},
		"many documents":             {map[string]string{"app/a.yaml": strings.Repeat("---\n", 20_000)}, "syntax"},
		"large":                      {map[string]string{"app/a.yaml": "a: " + strings.Repeat("x", 17<<20)}, "syntax"},
		"twice the output limit":     {wide, "output_limit"},
	} {
		t.Run(name, func(t *testing.T) {
			l := testLimits
			l.timeout, l.memory = time.Minute, 192<<20
			p := testPool(t, 1, l)
			if name == "twice the output limit" {
				p.limits.memory, p.limits.output = testLimits.memory, 4<<20
			}
			_, f := renderFiles(t, p, c.files, "app")
			if f == nil || !strings.Contains(" "+c.reasons+" ", " "+string(f.Reason)+" ") {
				t.Errorf("failure %+v, want one of %s", f, c.reasons)
			} else {
				t.Log(f)
			}
			rendersGood(t, p)
		})
	}
}

// slow is a kustomization that takes kustomize long: replacements over many
// objects.
func slow(objects int) map[string]string {
	var all, replacements strings.Builder
	for i := range objects {
		all.WriteString("---\n" + configMap(fmt.Sprintf("c%d", i), "x"))
		fmt.Fprintf(&replacements, "- source: {kind: ConfigMap, name: c%d, fieldPath: data.v}\n  targets:\n  - select: {kind: ConfigMap}\n    fieldPaths: [data.v]\n", i)
	}
	return map[string]string{"app/kustomization.yaml": "resources: [all.yaml]\nreplacements:\n" + replacements.String(), "app/all.yaml": all.String()}
}

func TestTimeLimit(t *testing.T) {
	l := testLimits
	l.timeout = 300 * time.Millisecond
	p := testPool(t, 1, l)
	_, f := renderFiles(t, p, slow(3000), "app")
	if f == nil || f.Reason != events.ReasonTimeout || !strings.Contains(f.Message, "--timeout") || f.lasting() {
		t.Errorf("failure %+v", f)
	}
	p.limits.timeout = time.Minute
	rendersGood(t, p)
}

func TestMemoryLimit(t *testing.T) {
	l := testLimits
	l.memory = 64 << 20
	p := testPool(t, 1, l)
	files := map[string]string{}
	for i := range 30 {
		var b strings.Builder
		fmt.Fprintf(&b, "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"c%d\"},\"x\":[0", i)
		for range 300_000 {
			b.WriteString(",0")
		}
		b.WriteString("]}")
		files[fmt.Sprintf("app/%d.json", i)] = b.String()
	}
	_, f := renderFiles(t, p, files, "app")
	if f == nil || f.Reason != events.ReasonMemory || !strings.Contains(f.Message, "--memory") || f.lasting() {
		t.Errorf("failure %+v", f)
	}
	p.limits.memory = testLimits.memory
	rendersGood(t, p)
}

func TestOutputLimit(t *testing.T) {
	l := testLimits
	l.output = 4 << 10
	p := testPool(t, 1, l)
	_, f := renderFiles(t, p, map[string]string{"app/a.yaml": configMap("a", strings.Repeat("x", 8<<10))}, "app")
	if f == nil || f.Reason != events.ReasonOutput {
		t.Errorf("failure %+v", f)
	}
	rendersGood(t, p)
}

// child is the pool's only child, while nothing renders.
func child(t *testing.T, p *pool) *worker {
	t.Helper()
	w := p.take()
	if w == nil {
		t.Fatal("there is no child")
	}
	p.keep(w)
	return w
}

func TestAChildWithoutWorkEnds(t *testing.T) {
	p := testPool(t, 2, testLimits)
	rendersGood(t, p)
	rendersGood(t, p)
	if n := p.started.Load(); n != 1 {
		t.Errorf("%d children for one render after another", n)
	}
	w := child(t, p)
	p.end(time.Now().Add(-time.Hour))
	if child(t, p) != w {
		t.Error("it ended although it has waited for a moment only")
	}
	p.rest = 10 * time.Millisecond
	child(t, p)
	bustest.Eventually(t, "the child ends", func() bool { return errors.Is(syscall.Kill(w.cmd.Process.Pid, 0), syscall.ESRCH) })
	rendersGood(t, p)
	if n := p.started.Load(); n != 2 {
		t.Errorf("%d children", n)
	}
}

func TestAKilledChildIsReplaced(t *testing.T) {
	p := testPool(t, 1, testLimits)
	rendersGood(t, p)
	if err := child(t, p).cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	rendersGood(t, p)
	if n := p.started.Load(); n != 2 {
		t.Errorf("%d children", n)
	}
}

// It is nothing that is known of the input: the bus tries it again, and counts.
func TestAChildThatIsAlwaysKilledIsAnError(t *testing.T) {
	p := testPool(t, 1, testLimits)
	p.launch = func() (*worker, error) {
		w, err := start()
		if err != nil {
			return nil, err
		}
		return w, w.cmd.Process.Kill()
	}
	if _, err := p.render(t.Context(), unpacked(t, good), "app"); !errors.Is(err, errKilled) {
		t.Errorf("error %v", err)
	}
	if n := p.started.Load(); n != 2 {
		t.Errorf("%d children: a crash is tried once more at once, and no more", n)
	}
	p.launch = start
	rendersGood(t, p)
}

func TestAChildIsReplacedAfterManyRenders(t *testing.T) {
	p := testPool(t, 1, testLimits)
	rendersGood(t, p)
	child(t, p).renders = maxRenders - 1
	rendersGood(t, p)
	rendersGood(t, p)
	if n := p.started.Load(); n != 2 {
		t.Errorf("%d children", n)
	}
}

func TestAChildWithItsOwnSchemaIsReplaced(t *testing.T) {
	p := testPool(t, 1, testLimits)
	files := map[string]string{
		"app/kustomization.yaml": "resources: [a.yaml]\nopenapi: {path: schema.json}\n",
		"app/schema.json":        `{"definitions":{}}`, "app/a.yaml": configMap("a", "x"),
	}
	if _, f := renderFiles(t, p, files, "app"); f != nil {
		t.Fatal(f)
	}
	rendersGood(t, p)
	if n := p.started.Load(); n != 2 {
		t.Errorf("%d children: one application's schema stays for the next", n)
	}
}

func TestTheEndOfTheContextEndsTheRender(t *testing.T) {
	p := testPool(t, 1, testLimits)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := p.render(ctx, unpacked(t, slow(3000)), "app"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	rendersGood(t, p)
}

func TestManyRendersShareFewChildren(t *testing.T) {
	p := testPool(t, 2, testLimits)
	tr := unpacked(t, good)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if out, err := p.render(t.Context(), tr, "app"); err != nil || out.Failure != nil {
				t.Errorf("%v, %v", out.Failure, err)
			}
		})
	}
	wg.Wait()
	if n := p.started.Load(); n > 2 {
		t.Errorf("%d children", n)
	}
}

// TestAdvisoryC10ChildHasNothing looks at a child from outside: no environment, no
// files but its pipes, limits that it can't lift, a network of its own.
func TestAdvisoryC10ChildHasNothing(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there is no /proc to look into
	}
	t.Setenv("PLUMBLINE_CANARY", "canary")
	left, err := os.Create(filepath.Join(t.TempDir(), "left-open"))
	if err != nil {
		t.Fatal(err)
	}
	defer left.Close()
	open, err := syscall.Dup(int(left.Fd())) // to children, too, as by a shell
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(open) //nolint:errcheck // it was never written to
	p := testPool(t, 1, testLimits)
	rendersGood(t, p)
	w := child(t, p)
	proc := fmt.Sprintf("/proc/%d/", w.cmd.Process.Pid)
	environ, err := os.ReadFile(proc + "environ")
	if err != nil || len(environ) != 0 {
		t.Errorf("environment %q, %v", environ, err)
	}
	files, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		to, err := os.Readlink(proc + "fd/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(to, "pipe:") && !strings.HasPrefix(to, "anon_inode:") && to != os.DevNull && !strings.HasPrefix(to, "/sys/fs/cgroup/") { // the Go runtime follows its own limits there
			t.Errorf("open file %s", to)
		}
	}
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`Max file size +0 +0`, `Max core file size +0 +0`, `Max open files +32 +32`} {
		if !regexp.MustCompile(want).Match(limits) {
			t.Errorf("limits lack %q:\n%s", want, limits)
		}
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil || !strings.Contains(string(status), "\nNoNewPrivs:\t1\n") {
		t.Errorf("it may gain rights, %v:\n%s", err, status)
	}
	if w.network {
		t.Log("the kernel allows no network namespace here")
		return
	}
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if its, err := os.Readlink(proc + "ns/net"); err != nil || its == own {
		t.Errorf("the child is in our network, %v", err)
	}
}

// TestAnOrphanEnds closes the pipe in the middle of a render, as the death of
// the parent does: the child must not go on to the end.
func TestAnOrphanEnds(t *testing.T) {
	tr := unpacked(t, slow(2000))
	w, err := start()
	if err != nil {
		t.Fatal(err)
	}
	defer w.stop()
	if err := writeFrame(w.in, frameRequest, []byte(`{"path":"app","memory":1000000000,"output":100000000}`)); err != nil {
		t.Fatal(err)
	}
	for {
		what, body, err := readFrame(w.out, 1<<30)
		if err != nil {
			return // it has ended
		}
		if what != frameQuestion {
			t.Fatalf("it went on to the end: %c", what)
		}
		a, err := tr.ask(operation(body[0]), string(body[1:]))
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFrame(w.in, frameAnswer, a.encode()); err != nil {
			t.Fatal(err)
		}
		if string(body) == "rapp/all.yaml" {
			// It has all that it needs, and works for seconds.
			if err := w.in.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAHostileChild speaks every kind of nonsense to the parent.
func TestAHostileChild(t *testing.T) {
	tr := unpacked(t, good)
	for name, words := range map[string]string{
		"nothing":               "",
		"half a frame":          "R\x00",
		"unknown frame":         "X\x00\x00\x00\x00",
		"empty question":        "L\x00\x00\x00\x00",
		"reply that is no JSON": "R\x00\x00\x00\x01{",
		"a long question":       "L\x00\x01\x00\x00" + strings.Repeat("x", 1<<16),
		"a huge reply":          "R\xff\xff\xff\xff",
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("cat")
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			w := &worker{cmd: cmd, in: in, out: strings.NewReader(words), last: &tail{}}
			if out, err := w.render(t.Context(), tr, "app", testLimits); err == nil {
				t.Errorf("taken for %+v", out)
			}
			w.stop()
		})
	}
}

// TestAutopsy tells what a child died of from what the Go runtime prints.
func TestAutopsy(t *testing.T) {
	tr := unpacked(t, good)
	for words, reason := range map[string]events.Reason{
		"runtime: goroutine stack exceeds 268435456-byte limit\ncanary": events.ReasonCrashed,
		"fatal error: runtime: out of memory\ncanary":                   events.ReasonMemory,
	} {
		cmd := exec.Command("cat")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w := &worker{cmd: cmd, in: in, out: strings.NewReader(""), last: &tail{}}
		if _, err := w.last.Write([]byte(words + strings.Repeat("x", 1<<20))); err != nil {
			t.Fatal(err)
		}
		_, err = w.render(t.Context(), tr, "app", testLimits)
		var f *failure
		if !errors.As(err, &f) || f.Reason != reason || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", words, err)
		}
	}
}
