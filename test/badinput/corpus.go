// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// Section is one part of the corpus: the boundary at which its inputs arrive.
type Section struct {
	Name  string // of its folder
	About string // what comes in there, for the index
}

// Sections are the parts of the corpus in the order of the index.
var Sections = []Section{
	{"fleet", "declarations in the fleet repository"},
	{"git", "Git servers, and the objects that they send"},
	{"webhook", "requests to the watcher's webhook"},
	{"yaml", "YAML and JSON files of an application"},
	{"kustomize", "kustomizations of an application"},
	{"manifests", "objects that an application declares"},
	{"kubeconfig", "kubeconfigs that applier and auditor are started with"},
	{"bus", "messages on the bus, published by the user that may"},
	{"cluster", "objects that others make and change in the cluster"},
	{"slack", "answers of Slack, and texts that are told there"},
}

// Input is one input of the corpus.
type Input struct {
	Section string
	Name    string // of its file, without .txtar: a DNS label
	About   string // what it is, in a sentence
	Files   []File // what stands below in/, in order
	Steps   []Step // what is generated into, or beside, Files
	Parts   map[string]string
	Want    Want
}

// ID names an input among all; an application that it is is called so.
func (in Input) ID() string { return in.Section + "-" + in.Name }

// File is a file of an input, before its steps.
type File struct {
	Path string
	Data string
}

// Want is what must become of an input.
type Want struct {
	Event  string   // short name of the event's type; empty where Status or Exit says it
	Reason string   // its stable code
	Says   []string // parts of its message, what to do among them
	Then   string   // a part of what is said when something else has become wrong; empty: nothing is
	File   string   // that it names
	Line   int      // of that file; 0: not checked
	Object string   // that it names, as Kind/name
	Live   []string // <resource> <name> <JSON pointer> <JSON value>, in the input's namespace
	Status int      // of HTTP
	Exit   int      // of a process
}

// partNames are the files of an archive that are neither below in/ nor read
// here: each belongs to one driver.
var partNames = []string{"declaration", "server", "commit", "request", "message", "cluster", "answer", "late"}

// Load reads the corpus in a folder: <folder>/<section>/<name>.txtar, in the
// order of [Sections] and of names.
func Load(folder string) ([]Input, error) {
	var all []Input
	for _, s := range Sections {
		paths, err := filepath.Glob(filepath.Join(folder, s.Name, "*.txtar"))
		if err != nil {
			return nil, fmt.Errorf("corpus: %w", err)
		}
		slices.Sort(paths)
		for _, path := range paths {
			data, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("corpus: %w", err)
			}
			in, err := Parse(s.Name, strings.TrimSuffix(filepath.Base(path), ".txtar"), data)
			if err != nil {
				return nil, fmt.Errorf("corpus: %s/%s: %w", s.Name, filepath.Base(path), err)
			}
			all = append(all, in)
		}
	}
	return all, nil
}

// Parse reads one archive.
func Parse(section, name string, data []byte) (Input, error) {
	in := Input{Section: section, Name: name, Parts: map[string]string{}}
	archive := txtar.Parse(bytes.ReplaceAll(data, []byte("${name}"), []byte(in.ID())))
	in.About = strings.Join(strings.Fields(string(archive.Comment)), " ")
	wanted := false
	for _, f := range archive.Files {
		var err error
		text := string(f.Data)
		below, isFile := strings.CutPrefix(f.Name, "in/")
		switch {
		case isFile:
			in.Files = append(in.Files, File{below, text})
		case f.Name == "generate":
			in.Steps, err = parseSteps(text)
		case f.Name == "want":
			wanted = true
			in.Want, err = parseWant(text)
		case slices.Contains(partNames, f.Name):
			in.Parts[f.Name] = text
		default:
			err = fmt.Errorf("want in/…, generate, want, or one of %s", strings.Join(partNames, ", "))
		}
		if err != nil {
			return in, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	switch {
	case in.About == "":
		return in, fmt.Errorf("the comment doesn't say what it is")
	case !wanted:
		return in, fmt.Errorf("want is missing")
	}
	return in, nil
}

// parseWant reads lines of "key: value".
func parseWant(text string) (Want, error) {
	var w Want
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			return w, fmt.Errorf("line %q: want key: value", line)
		}
		value = strings.TrimSpace(value)
		var err error
		switch key {
		case "event":
			w.Event = value
		case "reason":
			w.Reason = value
		case "says":
			w.Says = append(w.Says, value)
		case "then":
			w.Then = value
		case "file":
			w.File = value
		case "line":
			w.Line, err = strconv.Atoi(value)
		case "object":
			w.Object = value
		case "live":
			w.Live = append(w.Live, value)
		case "status":
			w.Status, err = strconv.Atoi(value)
		case "exit":
			w.Exit, err = strconv.Atoi(value)
		default:
			return w, fmt.Errorf("unknown key %q", key)
		}
		if err != nil {
			return w, err
		}
	}
	return w, nil
}
