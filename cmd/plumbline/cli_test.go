// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

var update = flag.Bool("update", false, "write the wanted outputs of the scripts anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"plumbline": func() {
		if now, err := time.Parse(time.RFC3339, os.Getenv("CLOCK")); err == nil {
			clock = func() time.Time { return now }
		}
		main()
	}})
}

// Each script speaks to a bus of its own, where the command
//
//	history NAME
//
// publishes one of the histories below under the services' own users,
//
//	reject WHAT
//
// has a service take an input that it can't take, or takes it after all,
//
//	scrub
//
// leaves what the last command printed in the file scrubbed, without what
// differs from run to run. go test -update writes the wanted outputs anew.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := bustest.Start(t)
			p := newPublisher(t, server)
			testscript.Run(t, testscript.Params{
				Files:               []string{file},
				RequireExplicitExec: true,
				UpdateScripts:       *update,
				Setup:               func(env *testscript.Env) error { return prepare(env, server) },
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"history": func(ts *testscript.TestScript, _ bool, args []string) {
						for _, name := range args {
							h, ok := histories[name]
							if !ok {
								ts.Fatalf("no history %q", name)
							}
							ts.Check(h(p))
						}
					},
					"scene": func(ts *testscript.TestScript, _ bool, args []string) {
						s := newScene(t, server)
						for _, name := range args {
							ts.Check(scenes[name](s))
						}
						ts.Setenv("CLOCK", sceneClock.Format(time.RFC3339))
					},
					"reject":   func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(reject(t, server, p, args[0])) },
					"scrub":    scrub,
					"recorded": recorded,
				},
			})
		})
	}
}

// prepare makes the folder of a running system, as 'up' does.
func prepare(env *testscript.Env, server *bustest.Server) error {
	data := filepath.Join(env.WorkDir, "state")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	keys := filepath.Dir(server.Config("operator").Creds)
	env.Setenv("DATA", data)
	env.Setenv("SERVER", server.URL())
	env.Setenv("KEYS", keys)
	env.Setenv("TZ", "UTC")
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "home"))
	if err := os.MkdirAll(filepath.Join(env.WorkDir, "home", "plumbline"), 0o700); err != nil {
		return err
	}
	r := running{Server: server.URL(), Keys: keys, Clusters: []string{local}, PID: os.Getpid()}
	if err := place(filepath.Join(env.WorkDir, "home", "plumbline")).announce(r); err != nil {
		return err
	}
	return place(data).announce(r)
}

var scrubs = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`"(id|causationid|traceparent|traceId|epoch|stagestart|stageend)":"[^"]*"`), `"$1":"…"`},
	{regexp.MustCompile(`(trace +)[0-9a-f]{32}`), "${1}…"},
	{regexp.MustCompile(`(  |for |, )\d+y\b`), "${1}9y"},
}

// scrub writes what the last command printed, without what differs from run
// to run, and checks that it fits its columns.
func scrub(ts *testscript.TestScript, _ bool, _ []string) {
	got := ts.ReadFile("stdout")
	for line := range strings.SplitSeq(got, "\n") {
		if n := len([]rune(line)); n > width && !strings.HasPrefix(line, "{") && !strings.HasPrefix(line, "[") {
			ts.Fatalf("a line of %d columns: %s", n, line)
		}
	}
	for _, s := range scrubs {
		got = s.find.ReplaceAllString(got, s.put)
	}
	ts.Check(os.WriteFile(ts.MkAbs("scrubbed"), []byte(got), 0o600))
}

func TestExitCodesWithoutASystem(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no command":      {[]string{}, exitOK, ""},
		"unknown command": {[]string{"stats"}, exitUsage, `is it nats or status?`},
		"unknown below":   {[]string{"dead-letters", "nope"}, exitUsage, `there is no command "dead-letters nope"`},
		"help on unknown": {[]string{"stats", "--help"}, exitUsage, `there is no command "stats"; is it nats or status?`},
		"help below":      {[]string{"dead-letters", "nope", "-h"}, exitUsage, `there is no command "dead-letters nope"`},
		"help on help":    {[]string{"help", "dead-letters", "list"}, exitOK, ""},
		"help on a group": {[]string{"dead-letters", "--help"}, exitOK, ""},
		"unknown flag":    {[]string{"status", "--now"}, exitUsage, "unknown flag: --now"},
		"bad value":       {[]string{"events", "--since", "soon"}, exitUsage, "invalid argument"},
		"bad format":      {[]string{"status", "-o", "yaml"}, exitUsage, "want table or json"},
		"bad type":        {[]string{"events", "--type", "comit.*"}, exitUsage, "there are commit.observed"},
		"too many":        {[]string{"status", "a", "b"}, exitUsage, "at most one APP"},
		"too few":         {[]string{"approve", "a"}, exitUsage, "want APP and DIGEST, got 1 argument\n"},
		"no port":         {[]string{"up", "--nats-port", "x"}, exitUsage, `"--nats-port" flag: want a port from 1 to 65535, or -1 for a free one`},
		"no port at all":  {[]string{"nats", "serve", "--port", "0"}, exitUsage, `"--port" flag: want a port from 1 to 65535, or -1 for a free one`},
		"too high a port": {[]string{"nats", "serve", "--port", "65536"}, exitUsage, "want a port from 1 to 65535"},
		"bad aim":         {[]string{"wait", "a", "--for", "good"}, exitUsage, "want one of converged, failed"},
		"bad commit":      {[]string{"wait", "a", "--commit", "main"}, exitUsage, "git rev-parse HEAD"},
		"nothing runs":    {[]string{"status"}, exitError, "start it with 'plumbline up"},
		"half a target":   {[]string{"status", "--server", "nats://127.0.0.1:1"}, exitUsage, "go together"},
		"no fleet":        {[]string{"up"}, exitUsage, "--fleet is missing"},
		"no kubeconfig":   {[]string{"up", "--fleet", ".", "--kubeconfig", "/nowhere"}, exitError, "--kubeconfig /nowhere: no such file"},
		"open webhook":    {[]string{"up", "--fleet", ".", "--webhook-listen", ":1"}, exitUsage, "needs --webhook-secrets"},
		"no key":          {[]string{"nats", "provision"}, exitUsage, "want --server and --creds"},
		"version":         {[]string{"version"}, exitOK, ""},
		"--version":       {[]string{"--version"}, exitOK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(c.args, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d, %q; want %d and %q in it", code, &stderr, c.code, c.says)
			}
		})
	}
}

func TestFollowGoesOnWithWhatComes(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	if err := histories["observed-a"](p); err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	lines := bufio.NewScanner(reader)
	next := func(want string) {
		t.Helper()
		if !lines.Scan() || !strings.Contains(lines.Text(), want) {
			t.Fatalf("line %q (%v), want %q in it", lines.Text(), lines.Err(), want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	conn := server.Connect(t, "reader")
	sel := selection{follow: true, since: lookback(time.Hour), kind: "*"}
	go func() { done <- sel.print(ctx, conn, &eventPrinter{out: writer, err: writer, format: formatJSON}) }()
	next("dev.plumbline.commit.observed.v1")
	if err := histories["render-failed"](p); err != nil {
		t.Fatal(err)
	}
	next("dev.plumbline.render.failed.v1")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("an interrupted follow ends with %v", err)
	}
}

func TestABusThatDoesNotAnswer(t *testing.T) {
	server := bustest.Start(t)
	config := server.Config("operator")
	data := t.TempDir()
	if err := place(data).announce(running{Server: config.URL, Keys: filepath.Dir(config.Creds)}); err != nil {
		t.Fatal(err)
	}
	server.Down(t)
	t.Cleanup(func() { server.Up(t) })
	var stdout, stderr bytes.Buffer
	if code := run([]string{"status", "--data", data}, &stdout, &stderr); code != exitError || !strings.Contains(stderr.String(), "no bus answers at") {
		t.Errorf("exit code %d: %s", code, &stderr)
	}
}

// A wrong key is told at once, and not after the patience for a bus that is
// away.
func TestAKeyThatTheBusDoesNotTake(t *testing.T) {
	server := bustest.Start(t)
	watcher, missing := server.Config("watcher").Creds, filepath.Join(t.TempDir(), "operator.nk")
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"status":             {[]string{"status", "--server", server.URL(), "--creds", watcher}, "give --creds the seed of operator or reader"},
		"provision":          {[]string{"nats", "provision", "--server", server.URL(), "--creds", watcher}, "give --creds the seed of the user provisioner"},
		"status, no file":    {[]string{"status", "--server", server.URL(), "--creds", missing}, "there is no file " + missing},
		"provision, no file": {[]string{"nats", "provision", "--server", server.URL(), "--creds", missing}, "there is no file " + missing},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			begun := time.Now()
			if code := run(c.args, &stdout, &stderr); code != exitError || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d: %s", code, &stderr)
			}
			if took := time.Since(begun); took > patience/2 {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestOneProcessPerFolder(t *testing.T) {
	p := place(t.TempDir())
	unlock, err := p.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.lock(); err == nil || !strings.Contains(err.Error(), "runs in") {
		t.Errorf("a second lock: %v", err)
	}
	unlock()
	again, err := p.lock()
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	again()
}

func TestNATSServe(t *testing.T) {
	data := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ready := make(chan string, 1)
	done := make(chan error, 1)
	e := embedded{data: place(data), port: -1, clusters: []string{local, "far"}, log: bustest.Log(t)}
	go func() {
		done <- e.run(ctx, func(ctx context.Context, url string) error {
			ready <- url
			<-ctx.Done()
			return nil
		})
	}()
	url := <-ready
	var stdout, stderr bytes.Buffer
	if code := run([]string{"events", "--data", data}, &stdout, &stderr); code != exitOK {
		t.Errorf("events: exit code %d: %s", code, &stderr)
	}
	for range 2 {
		stdout.Reset()
		args := []string{"nats", "provision", "--server", url, "--creds", place(data).natsKey("provisioner"), "--cluster", local, "--cluster", "far"}
		if code := run(args, &stdout, &stderr); code != exitOK || strings.Contains(stdout.String(), "created") || strings.Contains(stdout.String(), "changed") {
			t.Errorf("provision: exit code %d: %s%s", code, &stdout, &stderr)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("stopped with %v", err)
	}
	if _, err := place(data).find(); err == nil {
		t.Error("plumbline.json is still there")
	}
}

// A folder that can't be looked into is told apart from one in which nothing
// runs, with what to do.
func TestAFolderThatCannotBeRead(t *testing.T) {
	data := t.TempDir()
	if err := os.Mkdir(place(data).running(), 0o700); err != nil { // as to who may read everything no mode is closed
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"status", "--data", data}, &stdout, &stderr); code != exitError {
		t.Errorf("exit code %d", code)
	}
	for _, part := range []string{data, "can't be told", "be the user that it runs as, or say where the bus is with --server and --creds"} {
		if !strings.Contains(stderr.String(), part) {
			t.Errorf("it doesn't say %q: %s", part, &stderr)
		}
	}
}

// A command's help names the exit codes that it may end with.
func TestHelpNamesItsExitCodes(t *testing.T) {
	for name, wanted := range map[string]bool{"wait": true, "status": false, "approve": false} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{name, "--help"}, &stdout, &stderr); code != exitOK {
			t.Errorf("%s --help ends with %d: %s", name, code, &stderr)
		}
		if got := strings.Contains(stdout.String(), "not reached within --timeout"); got != wanted {
			t.Errorf("%s --help names the exit code of a timeout: %t, want %t", name, got, wanted)
		}
	}
}
