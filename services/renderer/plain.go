// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"path"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

var (
	kustomizationNames = []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
	extensions         = []string{".yaml", ".yml", ".json"}
)

// maxFolders and maxFiles bound what one application reads.
const (
	maxFolders = 10_000
	maxFiles   = 50_000
)

// walk collects the files of a plain folder.
type walk struct {
	*client
	files   []string
	folders int
}

// plain reads every YAML and JSON file below a folder, in the order of their
// paths. Names that start with a dot, and other files, are passed over.
func (c *client) plain(root string) ([]rendered, error) {
	w := &walk{client: c}
	if err := w.folder(root, nil); err != nil {
		return nil, err
	}
	var out []rendered
	for _, name := range w.files {
		data, err := c.file(name)
		if err != nil {
			return nil, err
		}
		objects, err := manifest.Parse(name, data)
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			r, err := c.emit(o)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// folder walks one folder; inside are the folders on the way to it, by where
// their links lead.
func (w *walk) folder(name string, inside []string) error {
	if w.folders++; w.folders > maxFolders {
		return fail(events.ReasonOutput, name, 0, "more than %d folders below the application's path", maxFolders)
	}
	a := w.ask(opList, name)
	if f := refusal(name, a.Kind); f != nil {
		return f
	}
	if slices.Contains(inside, a.Path) {
		return fail(events.ReasonOutsideTree, name, 0, "a symbolic link leads back to a folder that it is in")
	}
	inside = append(inside, a.Path)
	for _, e := range a.Entries {
		if strings.HasPrefix(e.Name, ".") {
			continue
		}
		if err := w.entry(path.Join(name, e.Name), e.Kind, inside); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) entry(name string, k kind, inside []string) error {
	manifests := slices.Contains(extensions, path.Ext(name))
	if k == kindLink {
		k = w.ask(opStat, name).Kind
		if k == kindMissing && manifests {
			return fail(events.ReasonPathMissing, name, 0, "the symbolic link leads to nothing")
		}
	}
	if f := refusal(name, k); f != nil {
		return f
	}
	switch {
	case k == kindDirectory:
		return w.folder(name, inside)
	case k != kindFile:
		return nil
	case slices.Contains(kustomizationNames, path.Base(name)):
		return fail(events.ReasonKustomize, name, 0, "a kustomization lies in a folder below the application's path, which holds none itself. Point spec.source.path at this folder, or list it under resources of a kustomization.yaml in the application's folder")
	case !manifests:
		return nil
	}
	if w.files = append(w.files, name); len(w.files) > maxFiles {
		return fail(events.ReasonOutput, name, 0, "more than %d files below the application's path", maxFiles)
	}
	return nil
}
