// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"fmt"
	"strings"
)

//go:generate go run ./index corpus ../../docs/badinput.md

// Index is docs/badinput.md: every input by section, and what becomes of it.
func Index(inputs []Input) []byte {
	bySection := map[string][]Input{}
	for _, in := range inputs {
		bySection[in.Section] = append(bySection[in.Section], in)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Bad input

<!-- Written by "go generate ./test/badinput"; edit test/badinput/index.go or the corpus. -->

%d inputs that are hostile, broken or merely odd, each a file of test/badinput/corpus. %s
gives all of them to one Plumbline, real processes on a real cluster, and shows of each: one typed event,
answer or error with a stable code, and a message that says what to do, of at most 2 KiB, without a secret,
a path outside of the repository or one of the machine. Nothing is lost, nothing is deleted, the healthy
application beside them converges all the while, and no process is restarted. An input that is valid must
converge, and not all that looks dangerous is invalid: rights are the cluster's to refuse, so that a
binding to cluster-admin (manifests, rbac-escalation) and another application's namespace (namespace-of-other,
namespace-of-other-declared) are taken from an applier that may do everything, as the one here may; what Git
alone refuses to write (git, commit-\*, tree-\*) and what nobody runs (attributes-filter) converges where the
files that are read are whole; and what is broken for a while (slack, git refs-once-500) ends well. An input
that crashes the process that renders it is a fault, and given by [test/faults](../test/faults)
([faults.md](faults.md)). test/badinput/doc.go has the format of an input.

`+"```sh\ngo test ./test/badinput\ngo test ./test/badinput -only '^yaml-alias'\n```\n\n", len(inputs), "`go test ./test/badinput`")
	b.WriteString("| section | what comes in there | inputs |\n|---|---|---:|\n")
	for _, s := range Sections {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %d |\n", s.Name, s.Name, s.About, len(bySection[s.Name]))
	}
	for _, s := range Sections {
		fmt.Fprintf(&b, "\n## %s\n\n| input | what it is | what becomes of it |\n|---|---|---|\n", s.Name)
		for _, in := range bySection[s.Name] {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", in.Name, cell(in.About), in.Want.brief())
		}
	}
	return b.Bytes()
}

// cell is a text as a table of Markdown takes it.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`, "`", "").Replace(text)
}

// brief is what is wanted, in a few words.
func (w Want) brief() string {
	switch {
	case w.Status != 0:
		return fmt.Sprintf("answer %d", w.Status)
	case w.Exit != 0:
		return fmt.Sprintf("exit %d, with what to do", w.Exit)
	case w.Event == "none" && len(w.Says) > 0:
		return "waits, and its log says why"
	case w.Event == "none":
		return "taken, and nothing is said"
	case w.Reason == "":
		return "`" + w.Event + "`"
	}
	return "`" + w.Event + "` `" + w.Reason + "`"
}
