// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// corpus is where the bad inputs lie, from the root.
const corpus = "test/badinput/corpus"

const securityIntro = `# Security: what is tested

What is promised, and what isn't, is in [SECURITY.md](../SECURITY.md). This page
says how it is shown. ` + "`make generate`" + ` makes it of the tests that are there, and
fails where one that it names is not; so do the tests themselves.

| figure | |
|---|---|
| classes of advisories | %d, of them with a regression test %d, not applicable %d |
| regression tests of them | %d |
| fuzz targets | %d |
| bad inputs in the corpus | %d, in %d sections |
| inputs that fuzzing found and that are kept | %d |

` + "`go test ./... -run TestAdvisory`" + ` runs the tests that are named for a class, and
` + "`make test`" + ` those, too, that bear other names; ` + "`make fuzz-short`" + ` gives each fuzz
target 20 seconds, ` + "`make fuzz FUZZTIME=4h`" + ` as long as is said.

## Classes of advisories

What befell GitOps controllers, and the libraries and servers that they are made
of, by class. Numbers are those of CVE where nothing else is said.
`

const fuzzIntro = `## Fuzz targets

Each parser that reads what Plumbline didn't write has its target, in the package
that owns it. Sections of the [corpus](../test/badinput/corpus) are its seeds, beside
its own; the count is that of their inputs.

| target | package | holds for every input | sections |
|---|---|---|---|`

// securityPage is docs/security.md.
func securityPage(root string) ([]byte, error) {
	tests, err := readTests(root)
	if err != nil {
		return nil, err
	}
	inputs, err := inputsOf(root)
	if err != nil {
		return nil, err
	}
	var table page
	named, shown, none := 0, 0, 0
	for _, a := range advisories {
		of, err := testsOf(a, tests)
		if err != nil {
			return nil, err
		}
		named += len(of)
		if a.none != "" {
			none++
		} else {
			shown++
		}
		table.advisory(a, of)
	}
	targets := slices.DeleteFunc(slices.Clone(tests), func(t testFunc) bool { return !strings.HasPrefix(t.name, "Fuzz") })
	kept, err := keptInputs(root, targets)
	if err != nil {
		return nil, err
	}
	sum := 0
	for _, n := range inputs {
		sum += n
	}
	p := page{}
	p.WriteString(generatedNote)
	p.say(securityIntro, len(advisories), shown, none, named, len(targets), sum, len(inputs), kept)
	p.Write(table.Bytes())
	p.say(fuzzIntro)
	for _, t := range targets {
		if t.says == "" {
			return nil, fmt.Errorf("%s.%s says nothing of what holds for every input", t.pkg, t.name)
		}
		p.say("| `%s` | %s | %s | %s |", t.name, t.pkg, cell(t.says), seeds(t.sections, inputs))
	}
	return p.Bytes(), nil
}

// keptInputs counts the inputs that fuzzing found and that are kept, each in the
// package of its target, however deep that is.
func keptInputs(root string, targets []testFunc) (int, error) {
	n := 0
	for _, t := range targets {
		kept, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(t.pkg), "testdata", "fuzz", t.name, "*"))
		if err != nil {
			return 0, err
		}
		n += len(kept)
	}
	return n, nil
}

func (p *page) advisory(a advisory, tests []testFunc) {
	p.say("### %s: %s\n\n%s.\n", a.class, a.what, a.ids)
	if a.none != "" {
		p.say("**Not applicable:** %s.\n", a.none)
		return
	}
	p.say("**Plumbline:** %s.\n", a.stand)
	for _, t := range tests {
		p.say("- `%s` in %s", t.name, t.pkg)
	}
	p.say("")
}

// testsOf are the tests of a class: those with its name, and those that it
// names, which have to be there.
func testsOf(a advisory, all []testFunc) ([]testFunc, error) {
	own := regexp.MustCompile("^TestAdvisory" + a.class + "[A-Z]")
	var of []testFunc
	left := slices.Clone(a.tests)
	for _, t := range all {
		i := slices.Index(left, t.pkg+"."+t.name)
		if i >= 0 {
			left = slices.Delete(left, i, i+1)
		}
		if i >= 0 || own.MatchString(t.name) {
			of = append(of, t)
		}
	}
	switch {
	case len(left) > 0:
		return nil, fmt.Errorf("class %s names tests that are not there: %s", a.class, strings.Join(left, ", "))
	case len(of) == 0 && a.none == "":
		return nil, fmt.Errorf("class %s has no test, and no reason for that", a.class)
	case len(of) > 0 && a.none != "":
		return nil, fmt.Errorf("class %s is said not to apply, and has the test %s", a.class, of[0].name)
	}
	return of, nil
}

// inputsOf counts the inputs of each section of the corpus.
func inputsOf(root string) (map[string]int, error) {
	paths, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(corpus), "*", "*.txtar"))
	if err != nil {
		return nil, err
	}
	inputs := map[string]int{}
	for _, path := range paths {
		inputs[filepath.Base(filepath.Dir(path))]++
	}
	return inputs, nil
}

func seeds(sections []string, inputs map[string]int) string {
	var texts []string
	for _, s := range sections {
		texts = append(texts, fmt.Sprintf("%s (%d)", s, inputs[s]))
	}
	return strings.Join(texts, ", ")
}

func cell(text string) string {
	text = strings.ToUpper(text[:1]) + text[1:]
	return strings.NewReplacer("|", "\\|", "<", "&lt;").Replace(text)
}
