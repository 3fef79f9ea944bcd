// SPDX-License-Identifier: Apache-2.0

package readme

import (
	"fmt"
	"strings"
	"testing"
)

// block is a marked block of README.
type block struct {
	kind  string // run | background | file
	file  string
	lines []string
}

type blocks []block

// parse finds the marked blocks of a Markdown text.
func parse(text string) blocks {
	var all blocks
	var open *block
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		marker, marked := strings.CutPrefix(line, "<!-- test")
		switch {
		case marked:
			marker = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(marker, ":"), "-->"))
			kind, file, _ := strings.Cut(marker, " ")
			if kind == "" {
				kind = "run"
			}
			open = &block{kind: kind, file: file}
		case open != nil && strings.HasPrefix(line, "```"):
			if fenced {
				all, open = append(all, *open), nil
			}
			fenced = !fenced
			if open == nil {
				fenced = false
			}
		case open != nil && fenced:
			open.lines = append(open.lines, line)
		}
	}
	return all
}

// script is the blocks as a testscript, with some of README's names replaced
// by what stands for them in the test.
func (all blocks) script(replace map[string]string) string {
	var commands, files strings.Builder
	for _, b := range all {
		if b.kind == "file" {
			fmt.Fprintf(&files, "-- %s --\n", b.file)
		}
		for _, line := range b.lines {
			for from, to := range replace {
				line = strings.ReplaceAll(line, from, to)
			}
			if b.kind == "file" {
				fmt.Fprintln(&files, line)
			} else {
				commands.WriteString(command(b.kind, line, replace))
			}
		}
	}
	return commands.String() + after + "\n" + files.String()
}

// command is one line of README: pasted, it comes right after the one before.
func command(kind, line string, replace map[string]string) string {
	switch {
	case strings.HasPrefix(line, "plumbline up "):
		port := replace["nats://127.0.0.1:4222"]
		port = port[strings.LastIndex(port, ":")+1:]
		return fmt.Sprintf("exec %s --nats-port %s --fleet-interval 1s &up&\nreachable plumbline status\n", line, port)
	case kind == "background":
		return fmt.Sprintf("exec %s &background&\nreachable test -f subscribed\n", line)
	}
	return fmt.Sprintf("exec sh -c '%s'\n", strings.ReplaceAll(line, "'", "''"))
}

// after is what README promises of what its commands have shown.
const after = `
stdout 'divergence.detected +shop-web'
stdout 'is 5, Git says 2; by kubectl'
stdout 'deploy/web/web.yaml:1'
stdout 'divergence.resolved +shop-web +Deployment.apps/shop/web: healed'
wait background
stdout '"type":"dev.plumbline.divergence.detected.v1"'
exec plumbline status
stdout 'shop-web +local +conver'
exec plumbline wait shop-web --for converged --timeout 30s
kill -INT up
wait up
! exec plumbline status
stderr 'nothing runs in'
`

func TestParse(t *testing.T) {
	text := "# A\n\n```sh\nnot marked\n```\n<!-- test -->\n```sh\none\ntwo\n```\nprose\n<!-- test: file a/b.yaml -->\n```yaml\nx: 1\n```\n<!-- test: background -->\n```sh\nthree\n```\n"
	got := fmt.Sprint(parse(text))
	if want := "[{run  [one two]} {file a/b.yaml [x: 1]} {background  [three]}]"; got != want {
		t.Errorf("parse = %s, want %s", got, want)
	}
}
