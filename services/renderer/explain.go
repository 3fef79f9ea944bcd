// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// explanation turns an error of kustomize's into a failure. kustomize quotes
// whole files in its errors, Secrets included: nothing of its text is
// repeated but what a pattern's group holds, and those hold names only.
type explanation struct {
	pattern *regexp.Regexp
	reason  events.Reason
	message string // $1 is the pattern's group
	find    finder
}

// finder says where the fault lies that a pattern's group names.
type finder func(b *build, group string) (file string, line int)

const named = `([A-Za-z0-9][A-Za-z0-9._/:~|\[\]-]{0,200})`

var explanations = []explanation{
	{
		regexp.MustCompile(`external plugins disabled|plugin load is disabled|--enable-helm|--enable-exec|--enable-alpha-plugins|no 'git' program`), events.ReasonPlugin,
		"the kustomization asks for a plugin. Plugins are not run: commit what they make", nil,
	},
	{
		regexp.MustCompile(`plumbline: no network`), events.ReasonRemoteBase,
		"the kustomization fetches something from elsewhere. A commit must hold all that it is made of: commit the files and name their path", nil,
	},
	{
		regexp.MustCompile(`cycle detected`), events.ReasonKustomize,
		"the kustomizations refer to each other in a circle, or one refers to a folder that it lies in", nil,
	},
	{
		regexp.MustCompile(`security; file '` + mount + `/([\w./-]{1,200})'`), events.ReasonKustomize,
		"a kustomization reads the file $1, which is not in or below its own folder. Move the file there, or make a base of it and list that under resources", (*build).whereListed,
	},
	{
		regexp.MustCompile(`may not add resource with an already registered id: ` + named), events.ReasonDuplicateObject,
		"the object $1 is declared twice; keep one of them", (*build).whereDeclared,
	},
	{
		regexp.MustCompile(`no resource matches strategic merge patch "?` + named), events.ReasonKustomize,
		"a patch is for $1, which no resource declares", (*build).whereDeclared,
	},
	{
		regexp.MustCompile(`unable to find patch target|failed to find unique target for patch|no matches for Id`), events.ReasonKustomize,
		"a patch is for an object that no resource declares", nil,
	},
	{
		regexp.MustCompile(`invalid Kustomization: json: unknown field \\?"([A-Za-z0-9]{1,63})\\?"`), events.ReasonKustomize,
		"the kustomization has the field $1, which kustomize doesn't know", (*build).whereListed,
	},
	{
		regexp.MustCompile(`Found multiple kustomization files`), events.ReasonKustomize,
		"a folder holds more than one kustomization file (kustomization.yaml, kustomization.yml, Kustomization). Keep one", nil,
	},
	{regexp.MustCompile(`kustomization.yaml is empty`), events.ReasonKustomize, "the kustomization is empty; list its resources", nil},
	{regexp.MustCompile(`missing metadata.name`), events.ReasonObjectInvalid, "an object has no name; give it metadata.name", (*build).whereNameless},
	{regexp.MustCompile(`missing Resource metadata|Object 'Kind' is missing|missing kind`), events.ReasonObjectInvalid, "a file listed under resources holds something that is no Kubernetes object (apiVersion, kind, metadata.name)", (*build).whereNameless},
}

// missing matches the entry that kustomize could not find; the last one is
// the innermost.
var (
	missing    = regexp.MustCompile(`accumulating (?:resources|components)(?: from)? '([\w][\w./ -]{0,200}|\.\.?/[\w./ -]{1,200})'`)
	isMissing  = regexp.MustCompile(`no such file or directory|file does not exist|doesn't exist|must resolve to a file|new root .* cannot be absolute`)
	smellsYAML = regexp.MustCompile(`(?i)yaml|unmarshal|invalid character|could not parse`)
)

// explain says why a build failed. err may be nil where a look-up was refused
// and kustomize went on without.
func (b *build) explain(err error) *failure {
	if f := b.fs.refused; f != nil {
		if f.Reason == events.ReasonOutsideTree && b.fs.left != "" {
			f.File, f.Line = b.whereListed(b.fs.left)
		}
		return f
	}
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	words := err.Error()
	for _, e := range explanations {
		if m := e.pattern.FindStringSubmatch(words); m != nil {
			return b.apply(e, m)
		}
	}
	if f := b.faultyFile(); f != nil && smellsYAML.MatchString(words) {
		return f
	}
	if all := missing.FindAllStringSubmatch(words, -1); all != nil && isMissing.MatchString(words) {
		file, line := b.whereListed(all[len(all)-1][1])
		return fail(events.ReasonKustomize, file, line, "%s is listed here and is not in this commit", all[len(all)-1][1])
	}
	return fail(events.ReasonKustomize, b.kustomization(), 0, "kustomize can't build this folder. Run `kustomize build %s` in a checkout of the commit to see its words; they may quote Secrets and are not repeated here", b.root)
}

// faultyFile is the first file read that is no valid YAML or JSON.
func (b *build) faultyFile() *failure {
	for _, name := range b.read {
		if !slices.Contains(extensions, path.Ext(name)) && path.Base(name) != "Kustomization" {
			continue
		}
		if _, err := manifest.Parse(name, b.data[name]); err != nil {
			if f, ok := failureOf(err); ok && f.Reason == events.ReasonSyntax {
				return f
			}
		}
	}
	return nil
}

// apply makes the failure of an explanation whose pattern has matched.
func (b *build) apply(e explanation, match []string) *failure {
	file, line := b.kustomization(), 0
	if len(match) == 1 {
		match = append(match, "")
	}
	group := strings.TrimRight(match[1], ".:")
	if e.find != nil {
		file, line = e.find(b, group)
	}
	return fail(e.reason, file, line, "%s", strings.ReplaceAll(e.message, "$1", objectName(group)))
}

// id is an object as kustomize writes it: Kind.version.group/name.namespace,
// with [noGrp] and [noNs] for what is not there.
var id = regexp.MustCompile(`^(\w+)\.[\w~]+\.[\w.\[\]-]+/(.+)\.[\w\[\]-]+$`)

// objectName writes an id of kustomize's as kubectl would.
func objectName(group string) string {
	if m := id.FindStringSubmatch(group); m != nil {
		return m[1] + "/" + m[2]
	}
	return group
}

// whereDeclared finds the last file that declares the object with an id.
func (b *build) whereDeclared(group string) (string, int) {
	m := id.FindStringSubmatch(group)
	if m == nil {
		return b.kustomization(), 0
	}
	return b.lastPlace(func(p place) bool { return p.kind == m[1] && p.name == m[2] })
}

// whereNameless finds an object without kind or name.
func (b *build) whereNameless(string) (string, int) {
	return b.lastPlace(func(p place) bool { return p.kind == "" || p.name == "" })
}

func (b *build) lastPlace(is func(place) bool) (string, int) {
	for _, name := range slices.Backward(b.read) {
		if !slices.Contains(extensions, path.Ext(name)) || slices.Contains(kustomizationNames, path.Base(name)) {
			continue
		}
		for _, p := range slices.Backward(declarations(b.data[name])) {
			if is(p) {
				return name, p.line
			}
		}
	}
	return b.kustomization(), 0
}

// whereListed finds the line of a kustomization that lists an entry, or the
// last part of it.
func (b *build) whereListed(entry string) (string, int) {
	for _, name := range slices.Backward(b.read) {
		if !slices.Contains(kustomizationNames, path.Base(name)) {
			continue
		}
		for i, line := range strings.Split(string(b.data[name]), "\n") {
			if strings.Contains(line, path.Base(entry)) {
				return name, i + 1
			}
		}
	}
	return b.kustomization(), 0
}
