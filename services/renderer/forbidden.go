// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/events"
)

// remote matches what kustomize takes for something to fetch: a URL, an
// scp-like address, a host that it knows, a query (kustomize's api
// internal/git/repospec.go). What this lets through meets a child without
// network, without programs to run, and without an HTTP client.
var remote = regexp.MustCompile(`^[^=\s]*=?(?i:[a-z][a-z0-9+.-]*:(//|:)|[\w.-]+@[\w.-]+:|(github\.com|gitlab\.com|bitbucket\.org)[/:])|[?&](ref|version|submodules|timeout)=|/_git/|\.git(/|$|\?)`)

// plugins are the fields that run a program.
var plugins = map[string]string{
	"helmCharts":                  "Helm charts",
	"helmChartInflationGenerator": "Helm charts",
	"helmGlobals":                 "Helm charts",
}

// forbidden looks for what a kustomization may not ask for, so that the
// failure names file and line.
func forbidden(file string, top *yaml.Node) *failure {
	if top.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		if what, ok := plugins[key.Value]; ok {
			return fail(events.ReasonPlugin, file, key.Line, "%s (%s) are not run from a kustomization. Commit what they render", what, key.Value)
		}
		for _, n := range references(key.Value, value) {
			if !strings.Contains(n.Value, "\n") && remote.MatchString(n.Value) {
				return fail(events.ReasonRemoteBase, file, n.Line, "an entry of %s is fetched from elsewhere. A commit must hold all that it is made of: commit the files and name their path", key.Value)
			}
		}
	}
	return nil
}

// references lists the scalars of a field that name files, folders or
// addresses.
func references(key string, value *yaml.Node) []*yaml.Node {
	switch key {
	case "resources", "bases", "components", "crds", "configurations", "generators", "transformers", "validators", "patchesStrategicMerge":
		return scalars(value)
	case "patches", "patchesJson6902", "replacements":
		var out []*yaml.Node
		for _, item := range value.Content {
			out = append(out, scalars(field(item, "path"))...)
		}
		return out
	case "openapi":
		return scalars(field(value, "path"))
	case "configMapGenerator", "secretGenerator":
		var out []*yaml.Node
		for _, item := range value.Content {
			for _, f := range []string{"files", "envs", "env"} {
				out = append(out, scalars(field(item, f))...)
			}
		}
		return out
	}
	return nil
}

// scalars lists a scalar, or the scalars of a sequence.
func scalars(n *yaml.Node) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == yaml.ScalarNode {
		return []*yaml.Node{n}
	}
	var out []*yaml.Node
	for _, item := range n.Content {
		if item.Kind == yaml.ScalarNode {
			out = append(out, item)
		}
	}
	return out
}
