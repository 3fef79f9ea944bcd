// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// manual is where the recordings are.
var manual = filepath.Join("..", "..", "docs", "cli.md")

// recorded compares what the last command printed with a recording in
// docs/cli.md: the block after the line
//
//	<!-- recording: NAME -->
//
// whose first line is the command itself.
func recorded(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("want recorded NAME")
	}
	got := ts.ReadFile("stdout")
	for line := range strings.SplitSeq(got, "\n") {
		if n := len([]rune(line)); n > width && !strings.Contains(line, "://") {
			ts.Fatalf("a line of %d columns: %s", n, line)
		}
	}
	text, err := os.ReadFile(manual)
	ts.Check(err)
	before, block, after, ok := findRecording(string(text), args[0])
	if !ok {
		ts.Fatalf("%s has no recording %q", manual, args[0])
	}
	command, want, _ := strings.Cut(block, "\n")
	if *update {
		ts.Check(os.WriteFile(manual, []byte(before+command+"\n"+got+after), 0o600))
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("the recording %s of %s differs (-update writes it anew): %s", args[0], manual, diff)
	}
}

// findRecording cuts a text at the inside of a recording's block.
func findRecording(text, name string) (before, block, after string, ok bool) {
	const fence = "```"
	begin := strings.Index(text, "<!-- recording: "+name+" -->\n"+fence)
	if begin < 0 {
		return "", "", "", false
	}
	inside := begin + strings.Index(text[begin:], fence)
	inside += strings.Index(text[inside:], "\n") + 1
	n := strings.Index(text[inside:], fence)
	if n < 0 {
		return "", "", "", false
	}
	return text[:inside], text[inside : inside+n], text[inside+n:], true
}

// Every recording in docs/cli.md is of the command that its script runs.
func TestEveryRecordingIsChecked(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	live, err := filepath.Glob(filepath.Join("..", "..", "test", "cli", "testdata", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	scripts, staged := contents(t, files), contents(t, live)
	const mark = "<!-- recording: "
	found := 0
	for _, part := range strings.Split(string(text), mark)[1:] {
		name, _, _ := strings.Cut(part, " -->")
		_, block, _, ok := findRecording(string(text), name)
		command, _, _ := strings.Cut(block, "\n")
		command, isCommand := strings.CutPrefix(command, "$ ")
		if !ok || !isCommand {
			t.Errorf("recording %s: want a block that begins with '$ ' and the command", name)
			continue
		}
		// Scripts with a cluster name it, and their namespace, in their own way.
		want := "exec " + command + "\nrecorded " + name + "\n"
		if !strings.Contains(scripts, want) && !strings.Contains(staged, "\nscrub\nrecorded "+name+"\n") {
			t.Errorf("no script runs %q", want)
		}
		found++
	}
	if found == 0 {
		t.Error("there are no recordings")
	}
}

// What README shows is what the manual has.
func TestReadmeShowsRecordings(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(readme), "<!-- recording: ")
	if len(parts) == 1 {
		t.Error("there are none")
	}
	for _, part := range parts[1:] {
		name, _, _ := strings.Cut(part, " -->")
		_, want, _, known := findRecording(string(text), name)
		_, got, _, ok := findRecording(string(readme), name)
		if !known || !ok || got != want {
			t.Errorf("the recording %s of README is not that of %s: %s", name, manual, cmp.Diff(want, got))
		}
	}
}

// contents are files, one after the other.
func contents(t *testing.T, files []string) string {
	t.Helper()
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
