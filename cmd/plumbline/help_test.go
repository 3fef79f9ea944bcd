// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// walk calls f for each command that a person may call.
func walk(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		if sub.Name() != "help" && !sub.Hidden {
			walk(sub, f)
		}
	}
}

// Every command has a summary of one line, a text that teaches, two examples
// that would run, and a word on each flag.
func TestHelpTeaches(t *testing.T) {
	seen := 0
	root := newRoot()
	walk(root, func(cmd *cobra.Command) {
		seen++
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if n := len(cmd.Short); n < 10 || n > 80 || strings.HasSuffix(cmd.Short, ".") || strings.Contains(cmd.Short, "\n") || cmd.Short[0] < 'A' || cmd.Short[0] > 'Z' {
				t.Errorf("summary %q: want one line of 10 to 80 columns that begins with a capital and ends without a dot", cmd.Short)
			}
			if len(strings.Fields(cmd.Long)) < 20 {
				t.Errorf("%d words of long text, want 20 or more", len(strings.Fields(cmd.Long)))
			}
			for line := range strings.SplitSeq(cmd.Long, "\n") {
				if n := len([]rune(line)); n > width {
					t.Errorf("a line of %d columns: %s", n, line)
				}
			}
			examples := strings.Split(strings.TrimRight(cmd.Example, "\n"), "\n")
			if len(examples) < 2 {
				t.Errorf("%d lines of examples, want two or more", len(examples))
			}
			for _, line := range examples {
				if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "plumbline") && !strings.HasPrefix(line, "    ") {
					t.Errorf("example %q: want two spaces and a call of plumbline", line)
				}
				runs(t, root, line)
			}
			cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
				if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
					t.Errorf("--%s says %q: want what it is, without a dot at the end", f.Name, f.Usage)
				}
			})
			if cmd.HasParent() && cmd.Parent() == root && cmd.GroupID == "" && cmd.Name() != "version" && cmd.Name() != "completion" {
				t.Error("is in no group of the root's help")
			}
		})
	})
	if seen < 20 {
		t.Errorf("walked over %d commands", seen)
	}
}

var call = regexp.MustCompile(`plumbline ([a-z][^|&;><)]*)`)

// runs checks that the calls in an example name commands and flags that are
// there.
func runs(t *testing.T, root *cobra.Command, line string) {
	t.Helper()
	for _, found := range call.FindAllStringSubmatch(line, -1) {
		words := strings.Fields(found[1])
		cmd, rest, err := root.Find(words)
		if err != nil || cmd == root || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
			t.Errorf("example %q: no such command", line)
			continue
		}
		for _, word := range words {
			name, _, _ := strings.Cut(word, "=")
			switch {
			case strings.HasPrefix(name, "--") && name != "--help":
				if cmd.Flags().Lookup(name[2:]) == nil {
					t.Errorf("example %q: %s has no flag %s", line, cmd.CommandPath(), name)
				}
			case len(name) == 2 && name[0] == '-' && name != "-h":
				if cmd.Flags().ShorthandLookup(name[1:]) == nil {
					t.Errorf("example %q: %s has no flag %s", line, cmd.CommandPath(), name)
				}
			}
		}
	}
}

// The commands that the documents name are there, with the flags and as many
// arguments as they name.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	inline := regexp.MustCompile("`(plumbline [a-z][^`]*)`")
	calls := 0
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../docs/playbooks/*.md", "../../deploy/*/*.md", "../../deploy/*/*/*/*.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			shell, fenced := false, false
			for line := range strings.Lines(string(text)) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "```") {
					fenced = !fenced
					shell = fenced && line == "```sh"
					continue
				}
				var found []string
				switch {
				case shell && strings.HasPrefix(line, "plumbline "):
					line, _, _ = strings.Cut(line, " #")
					found = append(found, line)
				case !fenced:
					for _, match := range inline.FindAllStringSubmatch(line, -1) {
						found = append(found, match[1])
					}
				}
				for _, call := range found {
					calls++
					t.Run(filepath.Base(file), func(t *testing.T) { runs(t, newRoot(), call) })
				}
			}
		}
	}
	if calls < 100 {
		t.Errorf("%d calls were found", calls)
	}
}

// The manual has every flag of every command, and names no other.
func TestManualNamesEveryFlag(t *testing.T) {
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	others := regexp.MustCompile("`(bin/kubelab|git|kubectl|nats) [^`]*`") // programs, with flags of their own
	text = others.ReplaceAll(text, nil)
	named := map[string]bool{"help": true}
	for _, match := range regexp.MustCompile("--([a-z][a-z-]*)").FindAllStringSubmatch(string(text), -1) {
		named[match[1]] = true
	}
	there := map[string]bool{"help": true}
	walk(newRoot(), func(cmd *cobra.Command) {
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			there[f.Name] = true
			if !named[f.Name] && f.Name != "output" && f.Name != "version" { // as -o
				t.Errorf("docs/cli.md has no --%s of %s", f.Name, cmd.CommandPath())
			}
		})
	})
	notify := &upOptions{slackChannel: "ops", slackTokenFile: "token"}
	for _, s := range notify.services() {
		flags := pflag.NewFlagSet(s.name, pflag.ContinueOnError)
		s.command(flags)
		flags.VisitAll(func(f *pflag.Flag) { there[f.Name] = true })
	}
	for name := range named {
		if !there[name] {
			t.Errorf("docs/cli.md names --%s, which nothing has", name)
		}
	}
}

// Every command that asks a running system prints JSON too, and finds the
// system in the same way.
func TestCommandsTakeTheSameFlags(t *testing.T) {
	walk(newRoot(), func(cmd *cobra.Command) {
		group := cmd
		for group.HasParent() && group.Parent().HasParent() {
			group = group.Parent()
		}
		if group.GroupID != "ask" || cmd.HasSubCommands() {
			return
		}
		for _, name := range []string{"data", "server", "creds", "output"} {
			if cmd.Flags().Lookup(name) == nil {
				t.Errorf("%s has no --%s", cmd.CommandPath(), name)
			}
		}
	})
}

// Help shows flags in groups, and leaves none out.
func TestHelpGroupsFlags(t *testing.T) {
	walk(newRoot(), func(cmd *cobra.Command) {
		var out bytes.Buffer
		cmd.SetOut(&out)
		if err := cmd.Help(); err != nil {
			t.Fatal(err)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && strings.Count(out.String(), "--"+f.Name+" ") == 0 {
				t.Errorf("the help of %s has no --%s", cmd.CommandPath(), f.Name)
			}
		})
		if cmd.Name() == "status" && !strings.Contains(out.String(), "\n"+flagsSystem+"\n      --creds") {
			t.Errorf("no group of the flags that find the system:\n%s", &out)
		}
	})
}

// What a shell asks for at a TAB.
func TestCompletion(t *testing.T) {
	server := bustest.Start(t)
	p := newPublisher(t, server)
	if err := histories["observed-a"](p); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	config := server.Config("operator")
	if err := place(data).announce(running{Server: config.URL, Keys: filepath.Dir(config.Creds)}); err != nil {
		t.Fatal(err)
	}
	ask := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(append([]string{"__completeNoDesc"}, args...), &stdout, &stderr); code != exitOK {
			t.Errorf("%v: exit code %d: %s", args, code, &stderr)
		}
		return stdout.String()
	}
	const noFiles = ":4\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status", "--data", data, "sh"}, "shop-web\n" + noFiles},
		{[]string{"status", "--data", data, "x"}, noFiles},
		{[]string{"wait", "--data", data, ""}, "shop-web\n" + noFiles},
		{[]string{"diff", "--data", data, ""}, "shop-web\n" + noFiles},
		{[]string{"approve", "--data", data, "shop-web", ""}, noFiles},
		{[]string{"status", "--data", t.TempDir(), ""}, noFiles},
		{[]string{"status", "--server", "nats://127.0.0.1:1", "--creds", config.Creds, ""}, noFiles},
		{[]string{"status", "-o", ""}, "table\njson\n" + noFiles},
		{[]string{"wait", "--for", "h"}, "converged\nfailed\nheld\ndiverged\nresolved\n" + noFiles},
		{[]string{"dia"}, noFiles},
		{[]string{"dif"}, "diff\n" + noFiles},
	} {
		if got := ask(c.args...); got != c.want {
			t.Errorf("%v: %q, want %q", c.args, got, c.want)
		}
	}
}

// Each script is of its shell, and calls the command that answers a TAB.
func TestCompletionScripts(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_plumbline", "zsh": "#compdef plumbline", "fish": "complete -c plumbline", "powershell": "Register-ArgumentCompleter"} {
		var stdout, stderr bytes.Buffer
		if code := run([]string{"completion", shell}, &stdout, &stderr); code != exitOK || !strings.Contains(stdout.String(), want) || !strings.Contains(stdout.String(), "__complete") {
			t.Errorf("%s: exit code %d, %s", shell, code, &stderr)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := run([]string{"completion", "tcsh"}, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "want one of bash, zsh, fish, powershell") {
		t.Errorf("tcsh: exit code %d, %s", code, &stderr)
	}
}
