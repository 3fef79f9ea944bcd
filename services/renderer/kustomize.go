// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resource"
	"sigs.k8s.io/kustomize/api/types"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// build is one run of kustomize.
type build struct {
	fs   *treeFS
	root string
	read []string          // files, in the order in which they were read
	data map[string][]byte // and what they hold
	// places are what a file declares, of those that were looked at for it.
	places map[string][]place
	// spent says that a file sets kustomize's OpenAPI schema, which is global
	// to the process and stays.
	spent bool
}

// kustomize builds the kustomization in a folder, as `kustomize build` does
// with its default restrictions: files in or below each kustomization's own
// folder, bases anywhere in the tree, no plugins, nothing remote, no Helm.
func (c *client) kustomize(root string) reply {
	b := &build{root: root, data: map[string][]byte{}, places: map[string][]place{}}
	b.fs = &treeFS{client: c, replace: map[string][]byte{}, seen: b.seen}
	wanted := b.traceOrigins()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = types.LoadRestrictionsRootOnly
	options.PluginConfig = types.DisabledPluginConfig()
	made, err := krusty.MakeKustomizer(options).Run(b.fs, path.Join(mount, root))
	if err != nil || b.fs.refused != nil {
		return reply{Failure: b.explain(err), Spent: b.spent}
	}
	var objects []rendered
	for _, r := range made.Resources() {
		o, err := b.object(r, wanted)
		if err != nil {
			return reply{Failure: failed(err).Failure, Spent: b.spent}
		}
		objects = append(objects, o...)
	}
	return reply{Objects: objects, Spent: b.spent}
}

// traceOrigins makes kustomize annotate each object with its origin, by
// adding that option to the root's kustomization as kustomize sees it. It
// reports whether the annotation was asked for anyway, and must stay.
func (b *build) traceOrigins() (wanted bool) {
	for _, name := range kustomizationNames {
		name = path.Join(b.root, name)
		a := b.fs.ask(opRead, name)
		var doc yaml.Node
		if a.Kind != kindFile || decodeYAML(a.Data, &doc) != nil || len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
			continue // kustomize says what is wrong with it
		}
		top := doc.Content[0]
		list := field(top, "buildMetadata")
		if list == nil {
			list = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
			top.Content = append(top.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "buildMetadata"}, list)
		}
		for _, item := range list.Content {
			wanted = wanted || item.Value == types.OriginAnnotations
		}
		if wanted || list.Kind != yaml.SequenceNode {
			continue
		}
		list.Content = append(list.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: types.OriginAnnotations})
		if data, err := yaml.Marshal(&doc); err == nil {
			b.fs.replace[a.Path] = data
		}
	}
	return wanted
}

const originAnnotation = "config.kubernetes.io/origin"

// object takes an object out of kustomize's result: out of its nodes, since
// kustomize makes JSON of them by way of their YAML, which takes several times
// as long.
func (b *build) object(r *resource.Resource, keepOrigin bool) ([]rendered, error) {
	body, err := manifest.DecodeNode(r.YNode())
	if err != nil {
		why := "it is no object"
		if f, ok := failureOf(err); ok {
			why = f.Message
		}
		return nil, fail(events.ReasonKustomize, b.kustomization(), 0, "kustomize makes a %s that can't be taken: %s; see it with `kustomize build %s`", printable(r.GetKind(), 63), why, b.root)
	}
	origin := originOf(body)
	if !keepOrigin {
		dropAnnotation(body, originAnnotation)
	}
	suffixed := suffixed(r)
	file, line := b.locate(origin, r.GetKind(), r.GetName())
	objects, err := manifest.FromBody(file, line, body)
	if err != nil {
		return nil, err
	}
	var out []rendered
	for _, o := range objects {
		e, err := b.fs.emit(o)
		if err != nil {
			return nil, err
		}
		e.Suffixed = suffixed
		out = append(out, e)
	}
	return out, nil
}

// originOf is what kustomize says of where an object comes from; nil where that
// is nothing.
func originOf(body map[string]any) *resource.Origin {
	meta, _ := body["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	text, ok := annotations[originAnnotation].(string)
	var origin resource.Origin
	if !ok || yaml.Unmarshal([]byte(text), &origin) != nil {
		return nil
	}
	return &origin
}

func dropAnnotation(body map[string]any, key string) {
	meta, _ := body["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	if _, ok := annotations[key]; !ok {
		return
	}
	delete(annotations, key)
	if len(annotations) == 0 {
		delete(meta, "annotations")
	}
}

// seen looks at every file that kustomize reads.
func (b *build) seen(name string, data []byte) *failure {
	if _, again := b.data[name]; !again {
		b.read = append(b.read, name)
		b.data[name] = data
	}
	if f, ok := failureOf(manifest.CheckAliases(name, data)); ok {
		return f // kustomize would expand them, until it is killed
	}
	kustomization := slices.Contains(kustomizationNames, path.Base(name))
	if f := checkInline(name, data, kustomization); f != nil {
		return f
	}
	if !kustomization {
		return nil
	}
	var doc yaml.Node
	if decodeYAML(data, &doc) != nil || len(doc.Content) != 1 {
		return nil
	}
	if field(doc.Content[0], "openapi") != nil {
		b.spent = true
	}
	return forbidden(name, doc.Content[0])
}

// kustomization is the root's kustomization file.
func (b *build) kustomization() string {
	for _, name := range b.read {
		if path.Dir(name) == b.root && slices.Contains(kustomizationNames, path.Base(name)) {
			return name
		}
	}
	return path.Join(b.root, kustomizationNames[0])
}

// locate finds the line that declares an object: in the file that it comes
// from, or, for a generated one, at its generator. Prefixes, suffixes and
// hashes may have been added to its name since.
func (b *build) locate(origin *resource.Origin, kind, name string) (string, int) {
	if origin == nil {
		return b.kustomization(), 1
	}
	file, generated := origin.Path, false
	if file == "" && origin.ConfiguredIn != "" {
		file, generated = origin.ConfiguredIn, true
	}
	file = path.Join(b.root, file)
	data, ok := b.data[file]
	if !ok {
		// The path may lead over links; what was read is known by where they lead.
		a := b.fs.ask(opRead, file)
		if a.Kind != kindFile {
			return file, 1
		}
		data = a.Data
	}
	if generated {
		return file, best(generators(data), "", name)
	}
	places, ok := b.places[file]
	if !ok {
		places = declarations(data)
		b.places[file] = places
	}
	return file, best(places, kind, name)
}

// place is where a file declares something.
type place struct {
	kind, name string
	line       int
}

// best picks the place of an object: by kind and name, else the one with the
// longest part of the name, else the first of its kind.
func best(places []place, kind, name string) int {
	line, score := 1, -1
	for _, p := range places {
		s := -1
		switch {
		case p.kind != kind:
		case p.name == name:
			s = 1 << 20
		case p.name != "" && strings.Contains(name, p.name):
			s = len(p.name)
		default:
			s = 0
		}
		if s > score {
			line, score = p.line, s
		}
	}
	return line
}

// declarations lists the objects of a file of resources.
func declarations(data []byte) []place {
	var out []place
	each(data, func(doc *yaml.Node) { out = append(out, objectsOf(doc, 0)...) })
	return out
}

func objectsOf(n *yaml.Node, depth int) []place {
	if n.Kind != yaml.MappingNode || depth > 10 {
		return nil
	}
	var out []place
	if items := field(n, "items"); items != nil && items.Kind == yaml.SequenceNode {
		for _, item := range items.Content {
			out = append(out, objectsOf(item, depth+1)...)
		}
	}
	p := place{kind: text(field(n, "kind")), line: n.Line}
	if meta := field(n, "metadata"); meta != nil {
		p.name = text(field(meta, "name"))
	}
	return append(out, p)
}

// generators lists the entries of configMapGenerator and secretGenerator.
func generators(data []byte) []place {
	var out []place
	each(data, func(doc *yaml.Node) {
		for _, key := range []string{"configMapGenerator", "secretGenerator"} {
			if list := field(doc, key); list != nil {
				for _, item := range list.Content {
					out = append(out, place{name: text(field(item, "name")), line: item.Line})
				}
			}
		}
	})
	return out
}
