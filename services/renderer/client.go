// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"io"
	"path"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/failpoint"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// client is the child's view of the tree: it asks the parent. It is used by
// one render at a time.
type client struct {
	r     io.Reader
	w     io.Writer
	known knownAnswers // sent ahead
	// room is how many bytes the reply may have; made counts them.
	room, made int64
}

// broken is the panic that ends a render whose pipe is gone. The callers in
// between, kustomize among them, would take an error for a missing file.
type broken struct{ err error }

// ask puts one question about a path, slash-separated and relative to the
// root.
func (c *client) ask(op operation, name string) answer {
	if a, ok := c.known.find(op, name); ok {
		return a
	}
	if err := writeFrame(c.w, frameQuestion, append([]byte{byte(op)}, name...)); err != nil {
		panic(broken{err})
	}
	what, body, err := readFrame(c.r, 1<<30)
	if err != nil {
		panic(broken{err})
	}
	if what != frameAnswer {
		panic(broken{errFrame})
	}
	a, err := decodeAnswer(op, body)
	if err != nil {
		panic(broken{err})
	}
	return a
}

// file reads a file that must be there.
func (c *client) file(name string) ([]byte, error) {
	a := c.ask(opRead, name)
	if f := refusal(name, a.Kind); f != nil {
		return nil, f
	}
	if a.Kind != kindFile {
		return nil, fail(events.ReasonPathMissing, name, 0, "%s is not a file in this commit", path.Base(name))
	}
	failpoint.Read(failpoint.RendererChildReads, a.Data)
	return a.Data, nil
}

// refusal is the failure of a look-up that a tree refuses; nil where it
// doesn't.
func refusal(name string, k kind) *failure {
	name = path.Clean(name)
	switch k {
	case kindOutside:
		return fail(events.ReasonOutsideTree, name, 0, "the path leaves the repository: a symbolic link or .. leads out of it. Keep everything that an application reads inside its repository")
	case kindLoop:
		return fail(events.ReasonOutsideTree, name, 0, "the symbolic links on this path lead in a circle")
	case kindSubmodule:
		return fail(events.ReasonPathMissing, name, 0, "this is a submodule, and submodules are not read. Commit its files, or make the application of its own repository")
	case kindTooLarge:
		return fail(events.ReasonSyntax, name, 0, "the file is too large to be read as manifests")
	}
	return nil
}

// render renders what is at a path: a kustomization where the folder holds
// one, else every YAML and JSON file below.
func (c *client) render(root string) reply {
	root = path.Clean(root)
	if path.IsAbs(root) || root == ".." || len(root) > 2 && root[:3] == "../" {
		return reply{Failure: fail(events.ReasonOutsideTree, root, 0, "the application's path leaves the repository; give a path relative to its root")}
	}
	a := c.ask(opStat, root)
	if f := refusal(root, a.Kind); f != nil {
		return reply{Failure: f}
	}
	switch a.Kind {
	case kindMissing:
		return reply{Failure: fail(events.ReasonPathMissing, root, 0, "the folder %s is not in this commit. Correct spec.source.path of the application, or commit the folder", root)}
	case kindFile:
		return reply{Failure: fail(events.ReasonPathMissing, root, 0, "%s is a file; spec.source.path of the application must name a folder", root)}
	}
	for _, name := range kustomizationNames {
		if c.ask(opStat, path.Join(root, name)).Kind == kindFile {
			return c.kustomize(a.Path)
		}
	}
	objects, err := c.plain(root)
	if err != nil {
		return failed(err)
	}
	return reply{Objects: objects}
}

func failed(err error) reply {
	if f, ok := failureOf(err); ok {
		return reply{Failure: f}
	}
	// Nothing of an unknown error's text is known to be free of secrets.
	return reply{Failure: fail(events.ReasonCrashed, "", 0, "the render ended with an error of a kind that is not known (%T)", err)}
}

// emit writes an object as it travels to the parent.
func (c *client) emit(o manifest.Object) (rendered, error) {
	data, err := manifest.Canonical(o.Body)
	if err != nil {
		return rendered{}, fmt.Errorf("%s:%d: %w", o.File, o.Line, err)
	}
	if c.made += int64(len(data) + len(o.File)); c.made > c.room {
		return rendered{}, tooMuch(c.room)
	}
	return rendered{File: o.File, Line: o.Line, Body: data}, nil
}
