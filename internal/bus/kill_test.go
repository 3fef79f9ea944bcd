// SPDX-License-Identifier: Apache-2.0

package bus_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

const childEnv = "BUS_TEST_CHILD"

// beforeLong is a back-off list for an input that dies as often as is borne, and
// then waits for as long as a test doesn't. Before that it comes again after longer
// than a machine stalls: what is in hand must not use up the list.
var beforeLong = []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second, 3 * time.Second, time.Minute}

// child is what a child process is to do.
type child struct {
	Config bus.Config
	Dir    string // it leaves a file there for each call
	Do     string // "die in the handler" of application bad | the same "three times" | "die before the ack"
}

// TestMain lets the test's own binary be the process that is killed.
func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		fmt.Fprintln(os.Stderr, runChild(text))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

func runChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	ctx := context.Background()
	conn, err := bus.Connect(ctx, c.Config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return conn.Consumer("renderer", func(ctx context.Context, in events.Event) ([]events.Draft, error) {
		f, err := os.CreateTemp(c.Dir, in.Application+"-")
		if err != nil {
			return nil, err
		}
		f.Close()
		switch {
		case c.Do == "die in the handler" && in.Application == "bad",
			c.Do == "three times" && in.Application == "bad" && calls(c.Dir, "bad") <= 3:
			die()
		case c.Do == "die before the ack" && calls(c.Dir, in.Application) == 1:
			// What the bus does once the handler has returned, up to the ack.
			if _, err := conn.Publish(ctx, events.CauseOf(in), failed(in.Application)); err != nil {
				return nil, err
			}
			die()
		}
		return []events.Draft{failed(in.Application)}, nil
	}, bus.Options{}).Run(ctx)
}

func calls(dir, app string) int {
	files, _ := filepath.Glob(filepath.Join(dir, app+"-*"))
	return len(files)
}

// keepRunning runs the child again and again until the test ends, as whoever
// runs services does.
func keepRunning(t *testing.T, c child) {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), childEnv+"="+string(text))
			out, err := cmd.CombinedOutput()
			if err != nil && !strings.Contains(err.Error(), "killed") {
				t.Errorf("child: %v\n%s", err, out)
			}
		}
	}()
}

// An input that ends its process is counted out after three deaths with nothing
// else at work, although no process lives to count; its neighbours, at work in
// the same process, are not taken for accomplices.
func TestAdvisoryC18PoisonThatKillsTheProcess(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", beforeLong...)
	watcher := s.Connect(t, "watcher")
	poison := publish(t, watcher, commit("bad", "1"))[0]
	dir := t.TempDir()
	keepRunning(t, child{Config: s.Config("renderer"), Dir: dir, Do: "die in the handler"})
	bustest.Eventually(t, "it is quarantined", func() bool { return len(rejected(t, s, events.ReasonQuarantined)) == 1 })
	if n := calls(dir, "bad"); n > 5 {
		t.Errorf("it killed %d processes", n)
	}
	for i := range 3 {
		publish(t, watcher, commit(fmt.Sprintf("good-%d", i), "1"))
	}
	bustest.Eventually(t, "the neighbours are served", func() bool { return len(s.Events(t, "plumbline.v1.render.failed.>")) == 3 })
	if r := rejected(t, s, events.ReasonQuarantined); len(r) != 1 || r[0].Stored != poison.Stored {
		t.Errorf("quarantined: %+v", r)
	}
}

// A process that somebody kills, each time with the same input in hand, accuses
// nobody by that.
func TestKillsFromOutsideAreNotTheInputs(t *testing.T) {
	s := bustest.Start(t)
	// Longer than a machine stalls: what is in hand must not come again for that, as
	// each call is counted.
	s.Backoff(t, "renderer", 3*time.Second)
	publish(t, s.Connect(t, "watcher"), commit("bad", "1"))
	dir := t.TempDir()
	keepRunning(t, child{Config: s.Config("renderer"), Dir: dir, Do: "three times"})
	bustest.Eventually(t, "it is handled", func() bool { return len(s.Events(t, "plumbline.v1.render.failed.>")) == 1 })
	if n, r := calls(dir, "bad"), rejected(t, s, events.ReasonQuarantined); n != 4 || len(r) != 0 {
		t.Errorf("after %d calls: %+v", n, r)
	}
}

// A process that dies between publishing and acknowledging publishes nothing
// twice.
func TestKillBetweenPublishAndAck(t *testing.T) {
	s := bustest.Start(t)
	s.Backoff(t, "renderer", 600*time.Millisecond)
	publish(t, s.Connect(t, "watcher"), commit("a", "1"), commit("b", "1"))
	dir := t.TempDir()
	keepRunning(t, child{Config: s.Config("renderer"), Dir: dir, Do: "die before the ack"})
	bustest.Eventually(t, "both are handled again", func() bool { return calls(dir, "a") >= 2 && calls(dir, "b") >= 2 })
	s.Idle(t, "renderer")
	if n := len(s.Events(t, "plumbline.v1.render.failed.>")); n != 2 {
		t.Errorf("%d outputs, want 2", n)
	}
}
