// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// readFile reads a file of the repository.
func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// instructions are those of a Dockerfile, in order: its name and the rest.
func instructions(text string) [][2]string {
	var all [][2]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if name, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok && !strings.HasPrefix(name, "#") {
			all = append(all, [2]string{name, strings.Join(strings.Fields(rest), " ")})
		}
	}
	return all
}

// The release image holds the binary alone, as the user that the pods run as,
// is built by the toolchain that go.mod asks for, and is told its version.
func TestAdvisoryC17ReleaseImage(t *testing.T) {
	var last, user, entry, build string
	arguments := map[string]string{}
	for _, i := range instructions(readFile(t, "deploy/Dockerfile")) {
		switch i[0] {
		case "ARG":
			name, value, _ := strings.Cut(i[1], "=")
			arguments[name] = value
		case "FROM":
			last = i[1]
		case "USER":
			user = i[1]
		case "ENTRYPOINT":
			entry = i[1]
		case "RUN":
			if strings.Contains(i[1], "go build") {
				build = i[1]
			}
		case "COPY":
			if !strings.HasPrefix(i[1], "--from=build ") {
				for _, source := range strings.Fields(i[1])[:1] {
					if _, err := os.Stat(filepath.Join(root, source)); err != nil {
						t.Error(err)
					}
				}
			}
		}
	}
	if last != "scratch" || user != "65532:65532" || entry != `["/service"]` {
		t.Errorf("the image is of %s, as %s, and runs %s", last, user, entry)
	}
	image := regexp.MustCompile(`^golang:(\d+\.\d+)\.\d+$`).FindStringSubmatch(arguments["GO_IMAGE"])
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "go.mod"))
	if image == nil || version == nil || image[1] != version[1] {
		t.Errorf("%s builds what asks for %v", arguments["GO_IMAGE"], version)
	}
	symbol := regexp.MustCompile(`-X (\S+)\.(\w+)=\$\{VERSION\}`).FindStringSubmatch(build)
	if symbol == nil || !strings.Contains(build, "CGO_ENABLED=0") {
		t.Fatalf("built by %s", build)
	}
	source := readFile(t, strings.TrimPrefix(symbol[1], "github.com/plumbline-dev/plumbline/")+"/version.go")
	if !regexp.MustCompile(`(?m)^var ` + symbol[2] + `\b`).MatchString(source) {
		t.Errorf("%s is no variable", symbol[0])
	}
	for _, ignored := range strings.Fields(readFile(t, "deploy/Dockerfile.dockerignore")) {
		for _, needed := range []string{"cmd", "deploy", "docs", "events", "go.mod", "internal", "services"} {
			if ignored == needed {
				t.Errorf("what is built needs %s", ignored)
			}
		}
	}
}

// run.sh starts a service that was replaced, and ends as the service ends.
func TestRunStartsAgainWhatWasReplaced(t *testing.T) {
	// Where this process was started without hang-ups (nohup), the shell can't trap
	// one, unless it is handled here: then its child begins with the default.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		scratch := filepath.Join(dir, name+".new")
		if err := os.WriteFile(scratch, []byte(text), 0o700); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
		if err := os.Rename(scratch, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	// A service that says which one it is, and ends in order with code 7.
	service := func(version string) {
		write("service", "#!/bin/sh\ntrap 'echo ended "+version+" >>"+dir+"/said; exit 7' TERM\necho "+version+" $* >>"+dir+"/said\nwhile :; do sleep 0.05; done\n")
	}
	said := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "said")) //nolint:errcheck // not yet
		return string(text)
	}
	write("run.sh", readFile(t, "tilt/run.sh"))
	service("one")
	cmd := start(context.WithoutCancel(t.Context()), t, filepath.Join(dir, "run.sh"), "--flag", "x")
	eventually(t, "it runs", func() bool { return said() == "one --flag x\n" })
	service("two")
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new one runs", func() bool { return said() == "one --flag x\nended one\ntwo --flag x\n" })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 7 || !strings.HasSuffix(said(), "ended two\n") {
		t.Errorf("it ended with %d: %s", cmd.ProcessState.ExitCode(), said())
	}

	write("service", "#!/bin/sh\nexit 3\n")
	cmd = start(context.WithoutCancel(t.Context()), t, filepath.Join(dir, "run.sh"))
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 3 {
		t.Errorf("a service that fails ended with %d", cmd.ProcessState.ExitCode())
	}
}
