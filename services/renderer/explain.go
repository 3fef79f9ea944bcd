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
}

const named = `([A-Za-z0-9][A-Za-z0-9._/:~|\[\]-]{0,200})`

var explanations = []explanation{
	{regexp.MustCompile(`external plugins disabled|plugin load is disabled|--enable-helm|--enable-exec|--enable-alpha-plugins|no 'git' program`), events.ReasonPlugin,
		"the kustomization asks for a plugin. Plugins are not run: commit what they make"},
	{regexp.MustCompile(`plumbline: no network`), events.ReasonRemoteBase,
		"the kustomization fetches something from elsewhere. A commit must hold all that it is made of: commit the files and name their path"},
	{regexp.MustCompile(`cycle detected`), events.ReasonKustomize,
		"the kustomizations refer to each other in a circle, or one refers to a folder that it lies in"},
	{regexp.MustCompile(`security; file '` + mount + `/([\w./-]{1,200})'`), events.ReasonKustomize,
		"a kustomization reads the file $1, which is not in or below its own folder. Move the file there, or make a base of it and list that under resources"},
	{regexp.MustCompile(`may not add resource with an already registered id: ` + named), events.ReasonDuplicateObject,
		"the object $1 is declared twice"},
	{regexp.MustCompile(`no resource matches strategic merge patch "?` + named), events.ReasonKustomize,
		"a patch is for $1, which no resource declares"},
	{regexp.MustCompile(`unable to find patch target|failed to find unique target for patch|no matches for Id`), events.ReasonKustomize,
		"a patch is for an object that no resource declares"},
	{regexp.MustCompile(`invalid Kustomization: json: unknown field \\?"([A-Za-z0-9]{1,63})\\?"`), events.ReasonKustomize,
		"the kustomization has the field $1, which kustomize doesn't know"},
	{regexp.MustCompile(`Found multiple kustomization files`), events.ReasonKustomize,
		"a folder holds more than one kustomization file (kustomization.yaml, kustomization.yml, Kustomization). Keep one"},
	{regexp.MustCompile(`kustomization.yaml is empty`), events.ReasonKustomize, "the kustomization is empty; list its resources"},
	{regexp.MustCompile(`missing metadata.name`), events.ReasonObjectInvalid, "an object has no name; give it metadata.name"},
	{regexp.MustCompile(`missing Resource metadata|Object 'Kind' is missing|missing kind`), events.ReasonObjectInvalid, "a file listed under resources holds something that is no Kubernetes object (apiVersion, kind, metadata.name)"},
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
	if b.fs.refused != nil {
		return b.fs.refused
	}
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	words := err.Error()
	for _, e := range explanations {
		if m := e.pattern.FindStringSubmatch(words); m != nil {
			message := e.message
			if len(m) > 1 {
				message = strings.ReplaceAll(message, "$1", strings.TrimRight(m[1], ".:"))
			}
			return fail(e.reason, b.kustomization(), 0, "%s", message)
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

// whereListed finds the line of a kustomization that lists an entry.
func (b *build) whereListed(entry string) (string, int) {
	for _, name := range slices.Backward(b.read) {
		if !slices.Contains(kustomizationNames, path.Base(name)) {
			continue
		}
		for i, line := range strings.Split(string(b.data[name]), "\n") {
			if strings.Contains(line, entry) {
				return name, i + 1
			}
		}
	}
	return b.kustomization(), 0
}
