// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/test/seed"
)

// fuzzLimits bound one render of a fuzz target: far more than a small input
// takes, and little for the machine.
var fuzzLimits = limits{timeout: 10 * time.Second, memory: 256 << 20, output: 4 << 20}

// FuzzUnpack: whatever bytes are said to be the pack of a tree, they are that
// tree or a broken source; and every question to it has an answer that lies
// inside of it.
func FuzzUnpack(f *testing.F) {
	r := newRepo(f)
	id := r.tree(map[string]string{"app/a.yaml": configMap("a", "x"), "app/l -> ../b": "", "b/c": "x", "up -> ../..": "", "m @": ""}).String()
	pack := r.pack()
	f.Add(pack, id, "app/l/c")
	f.Add(pack, id, "up/etc/passwd")
	f.Add(pack[:len(pack)/2], id, ".")
	f.Add(append([]byte("PACK\x00\x00\x00\x02\xff\xff\xff\xff"), pack[12:]...), id, "a")
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x01\xbf\xff\xff\xff\xff\x7f"), "main", "")
	known := map[string]bool{}
	seed.Each(f, func(file seed.File) {
		if file.Name == "want" || known[string(file.Data)] {
			return
		}
		known[string(file.Data)] = true
		r := newRepo(f)
		name := strings.TrimPrefix(file.Name, "in/")
		id := r.tree(map[string]string{name: string(file.Data)}).String()
		f.Add(r.pack(), id, name)
		f.Add(slices.Concat(pack[:12], file.Data), id, name) // behind a head: else none of it is read
	}, "git")
	f.Fuzz(func(t *testing.T, pack []byte, id, name string) {
		tr, err := unpack(pack, id)
		if err != nil {
			if !errors.Is(err, errSource) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		for _, op := range []operation{opStat, opRead, opList} {
			a, err := tr.ask(op, name)
			if err != nil {
				if !errors.Is(err, errSource) {
					t.Fatalf("untyped error %v", err)
				}
				continue
			}
			insideTree(t, name, a)
			if digest, err := tr.identify(op, name); err != nil || digest != a.digest {
				t.Fatalf("%c %q: answered %q, identified %q (%v)", op, name, a.digest, digest, err)
			}
			if back, err := decodeAnswer(op, a.encode()); err != nil || back.Kind != a.Kind || back.Path != a.Path || !bytes.Equal(back.Data, a.Data) || len(back.Entries) != len(a.Entries) {
				t.Fatalf("%c %q: the child is told %+v of %+v (%v)", op, name, back, a, err)
			}
		}
	})
}

func insideTree(t *testing.T, name string, a answer) {
	t.Helper()
	switch a.Kind {
	case kindOutside, kindLoop, kindMissing:
		return
	}
	if path.IsAbs(a.Path) || a.Path != path.Clean(a.Path) || a.Path == ".." || strings.HasPrefix(a.Path, "../") {
		t.Fatalf("%q leads to %q", name, a.Path)
	}
}

// FuzzLinks: links and .. lead where they lead on a disk below a root that
// nothing leaves, or nowhere.
func FuzzLinks(f *testing.F) {
	for _, c := range [][3]string{
		{"b", "..", "app/l/c"},
		{"../canary", "../b", "l"},
		{"l", "l", "l"},
		{"m", "b/c", "l"},
		{"/etc/passwd", ".", "l"},
		{"/b/c", "/app/a", "l"},
		{"b/../b/c", "../../b", "app/m/c"},
		{"./b//c", "x", "l"},
		{"../b/../app/m", "../../../canary", "app/../l"},
		{"app/m/c", "../b", "./l/"},
	} {
		f.Add(c[0], c[1], c[2])
	}
	f.Fuzz(func(t *testing.T, one, two, name string) {
		files := map[string]string{"app/a": "in app", "b/c": "in b", "l -> " + one: "", "app/m -> " + two: ""}
		if strings.ContainsAny(one+two, "\x00") || strings.Contains(one+two, " -> ") || one == "" || two == "" || len(one) > 255 || len(two) > 255 {
			return // nothing that a disk could hold
		}
		a, err := unpacked(t, files).ask(opRead, name)
		if err != nil {
			t.Fatal(err)
		}
		insideTree(t, name, a)
		onDisk, err := readBelow(t, one, two, name)
		switch {
		case a.Kind == kindFile && string(a.Data) != "in app" && string(a.Data) != "in b":
			t.Fatalf("%q holds %q", name, a.Data)
		case err != nil && a.Kind == kindFile && !path.IsAbs(name) && name == path.Clean(name) && one == path.Clean(one) && two == path.Clean(two):
			t.Fatalf("l -> %q, app/m -> %q: %q is nowhere on a disk (%v), and %+v here", one, two, name, err, a)
		case err == nil && (a.Kind != kindFile || string(a.Data) != onDisk):
			t.Fatalf("l -> %q, app/m -> %q: %q is %q on a disk, and %+v here", one, two, name, onDisk, a)
		}
	})
}

// readBelow reads what name leads to on a disk, below a root that nothing
// leaves.
func readBelow(t *testing.T, one, two, name string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	for folder, file := range map[string]string{"tree/app": "a", "tree/b": "c"} {
		full := filepath.Join(dir, folder)
		if err := os.MkdirAll(full, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(full, file), []byte("in "+path.Base(folder)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "canary"), []byte(canary), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(one, filepath.Join(dir, "tree", "l")), os.Symlink(two, filepath.Join(dir, "tree", "app", "m"))); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(filepath.Join(dir, "tree"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }() // of a folder that was read
	data, err := root.ReadFile(name)
	return string(data), err
}

// FuzzRender: whatever a kustomization and a manifest beside it hold, a render
// child ends in time with objects or a failure, says what an event can carry,
// and quotes nothing of the files.
func FuzzRender(f *testing.F) {
	f.Add([]byte("resources: [a.yaml, ../base]\nnamePrefix: x-\n"), []byte(configMap("a", "x")))
	f.Add([]byte("secretGenerator:\n- name: s\n  files: [secret.txt]\n- name: s\n"), []byte("a: &a [*a]\n"))
	f.Add([]byte("resources: [a.yaml]\nreplacements:\n- source: {kind: ConfigMap, fieldPath: data.v}\n  targets: [{select: {kind: ConfigMap}, fieldPaths: [data.w]}]\n"), []byte(configMap("a", "x")))
	f.Add([]byte("resources: [../..]\nopenapi: {path: secret.txt}\n"), []byte("{"))
	f.Add([]byte("resources: [secret.txt]\npatches: [{path: secret.txt}]\n"), []byte("- x"))
	for _, folder := range []string{"kustomize", "yaml"} {
		for _, file := range seed.Files(f, folder) {
			switch path.Base(file.Name) {
			case "kustomization.yaml":
				f.Add(file.Data, []byte(configMap("a", "x")))
			default:
				f.Add([]byte("resources: [a.yaml]\n"), file.Data)
			}
		}
	}
	p := testPool(f, 1, fuzzLimits)
	f.Fuzz(func(t *testing.T, kustomization, manifest []byte) {
		if bytes.Contains(kustomization, []byte(canary)) || bytes.Contains(manifest, []byte(canary)) {
			return
		}
		tr := unpacked(t, map[string]string{
			"app/kustomization.yaml": string(kustomization), "app/a.yaml": string(manifest), "app/secret.txt": "password: " + canary + "\n",
			"base/kustomization.yaml": "resources: [b.yaml]\n", "base/b.yaml": configMap("b", "x"),
		})
		out, err := p.render(t.Context(), tr, "app")
		if err != nil {
			t.Fatalf("no outcome: %v", err)
		}
		if out.Failure == nil {
			return
		}
		said := out.Failure.bounded()
		if said.Reason == "" || said.Message == "" || len(said.Message) > maxMessage+len("…") || !utf8.ValidString(said.Message+said.File) {
			t.Fatalf("said: %+v", said)
		}
		if text := fmt.Sprintf("%+v", out.Failure); strings.Contains(text, canary) {
			t.Fatalf("a file's content shows: %s", text)
		}
		if strings.Contains(said.Message, mount) || strings.HasPrefix(said.File, "/") {
			t.Fatalf("it names a path that is not of the repository: %+v", said)
		}
	})
}
