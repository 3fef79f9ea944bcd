// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/events"
)

// Repository is a declared repository, defaults filled in.
type Repository struct {
	Name     string          `json:"name"`
	URL      string          `json:"url"`
	Interval events.Duration `json:"interval"`
	File     string          `json:"file"`
	Line     int             `json:"line"`
}

// Cluster is a declared cluster.
type Cluster struct {
	Name      string `json:"name"`
	Recipient string `json:"recipient"` // age
	File      string `json:"file"`
	Line      int    `json:"line"`
}

// Rejection is a declaration that was refused, or a whole file.
type Rejection struct {
	Kind     string           `json:"kind,omitempty"` // where it can be told
	Name     string           `json:"name,omitempty"` // where it can be told and is a valid name
	File     string           `json:"file"`
	Problems []events.Problem `json:"problems"`
	// Holds are the applications that stay as they were declared before
	// because of it, in order. [Merge] knows them all.
	Holds []string `json:"holds,omitempty"`
}

// Result is what a fleet's files declare, each list in order of name, the
// rejections in order of file and line.
type Result struct {
	Repositories []Repository
	Clusters     []Cluster
	Applications []events.Declaration
	Rejections   []Rejection

	// files were there; invalid are the applications that were named and
	// refused; unread is text that may declare anything.
	files   []string
	invalid []invalid
	unread  []unread
}

// invalid is an application whose declaration was refused.
type invalid struct {
	name    string
	cluster string // empty where it can't be told
	file    string
}

// unread is a file that can't be read, or in which a declaration can't be
// told by kind and name.
type unread struct {
	file      string
	text      string
	rejection int // index in Result.Rejections
}

// declared is one document on its way to be accepted or refused.
type declared struct {
	file       string
	line       int
	kind, name string
	decoder    decoder

	repository  RepositorySpec
	cluster     ClusterSpec
	application ApplicationSpec
}

// FleetRepository is the name of the fleet repository itself: what belongs to
// a repository by its name, as credentials do, belongs to that one under this
// name.
const FleetRepository = "fleet"

// Reader reads the files of one fleet.
type Reader struct {
	// Own says whether a URL is the fleet repository's. Only there may a
	// repository be named [FleetRepository]. Nil: it isn't known, and every
	// one may.
	Own func(url string) bool
}

// Parse is [Reader.Parse] of a fleet whose URL isn't known.
func Parse(files []File) Result { return Reader{}.Parse(files) }

// Parse reads a fleet's files: those that [IsDeclaration] is true of, and what
// has a Fault, which may declare anything. Other files that don't end in .yaml,
// .yml or .json are left out here as well. It knows
// nothing of what was declared before: see [Merge].
func (reader Reader) Parse(files []File) Result {
	var r Result
	var all []*declared
	files = slices.Clone(files)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, f := range files {
		if f.Fault == "" && !hasFormat(f.Path) {
			continue
		}
		r.files = append(r.files, f.Path)
		roots, failed := f.documents()
		if failed != nil {
			r.refuseFile(f, Rejection{File: f.Path, Problems: []events.Problem{failed.Problem}})
			continue
		}
		var nameless []*declared
		for _, root := range roots {
			d := read(f.Path, root)
			reader.checkName(d)
			if d.kind == "" || d.name == "" {
				nameless = append(nameless, d)
				continue
			}
			all = append(all, d)
		}
		if len(nameless) > 0 {
			r.refuseFile(f, rejectionOf(nameless))
		}
	}
	names := resolve(all, len(r.unread) > 0)
	for _, d := range all {
		r.take(d, names)
	}
	r.order()
	return r
}

// refuseFile records a rejection of something that might declare anything.
func (r *Result) refuseFile(f File, rejection Rejection) {
	r.unread = append(r.unread, unread{f.Path, string(f.Data), len(r.Rejections)})
	r.Rejections = append(r.Rejections, rejection)
}

// read decodes one document. Its kind and name stay empty where they can't be
// told.
func read(file string, root *yaml.Node) *declared {
	d := &declared{file: file, line: root.Line, decoder: decoder{lines: map[string]int{"": root.Line}}}
	version, kind := scalar(root, "apiVersion"), scalar(root, "kind")
	switch {
	case root.Kind != yaml.MappingNode:
		d.decoder.problem(root.Line, "", "must be a declaration, and is %s", describe(root))
	case version == nil:
		d.decoder.problem(root.Line, "apiVersion", "is missing; must be %s", APIVersion)
	case version.Value != APIVersion:
		d.decoder.problem(version.Line, "apiVersion", "must be %s, and is %s; the fleet's folder holds declarations alone", APIVersion, describe(version))
	case kind == nil:
		d.decoder.problem(root.Line, "kind", "must be %s, %s or %s, and is not there", KindRepository, KindCluster, KindApplication)
	default:
		d.readKind(root, kind)
	}
	return d
}

func (d *declared) readKind(root, kind *yaml.Node) {
	var name string
	switch kind.Value {
	case KindRepository:
		doc := RepositoryDocument{Spec: RepositorySpec{Interval: seconds(30)}}
		d.decoder.decode(root, reflect.ValueOf(&doc).Elem(), "")
		name, d.repository = doc.Metadata.Name, doc.Spec
	case KindCluster:
		var doc ClusterDocument
		d.decoder.decode(root, reflect.ValueOf(&doc).Elem(), "")
		name, d.cluster = doc.Metadata.Name, doc.Spec
	case KindApplication:
		doc := ApplicationDocument{Spec: defaults()}
		d.decoder.decode(root, reflect.ValueOf(&doc).Elem(), "")
		name, d.application = doc.Metadata.Name, doc.Spec
	default:
		d.decoder.problem(kind.Line, "kind", "must be %s, %s or %s, and is %s", KindRepository, KindCluster, KindApplication, describe(kind))
		return
	}
	d.kind = kind.Value
	if name == "" {
		return // told by the decoder
	}
	if !validLabel(name) {
		d.decoder.problem(0, "metadata.name", "must be a DNS label: at most 63 of a-z, 0-9 and -, which stands neither first nor last; is %q", clip(name))
		return
	}
	d.name = name
	d.validate()
}

// checkName refuses a repository that takes the fleet repository's name.
func (reader Reader) checkName(d *declared) {
	if d.kind == KindRepository && d.name == FleetRepository && reader.Own != nil && !reader.Own(d.repository.URL) {
		d.decoder.problem(0, "metadata.name", "the name %s is the fleet repository's own; give this repository another name", FleetRepository)
	}
}

// scalar is the value of a root's field, if it is a plain text.
func scalar(root *yaml.Node, name string) *yaml.Node {
	if root.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if v := root.Content[i+1]; root.Content[i].Value == name && v.Kind == yaml.ScalarNode {
			return v
		}
	}
	return nil
}

func (d *declared) rejection() Rejection {
	problems := d.decoder.problems
	slices.SortStableFunc(problems, func(a, b events.Problem) int { return a.Line - b.Line })
	return Rejection{Kind: d.kind, Name: d.name, File: d.file, Problems: problems}
}

// rejectionOf is the one rejection of everything in a file that can't be told
// by kind and name.
func rejectionOf(nameless []*declared) Rejection {
	r := Rejection{Kind: nameless[0].kind, File: nameless[0].file}
	for _, d := range nameless {
		if d.kind != r.Kind {
			r.Kind = ""
		}
		r.Problems = append(r.Problems, d.rejection().Problems...)
	}
	if more := len(r.Problems) - maxProblems; more > 0 {
		r.Problems = r.Problems[:maxProblems]
		r.Problems[maxProblems-1].Message += fmt.Sprintf(" (and %d more problems in this file)", more)
	}
	return r
}

// take puts a declaration where it belongs.
func (r *Result) take(d *declared, names index) {
	d.checkSize(names)
	if len(d.decoder.problems) > 0 {
		rejection := d.rejection()
		rejection.Holds = d.holds(names)
		r.Rejections = append(r.Rejections, rejection)
		if d.kind == KindApplication {
			r.invalid = append(r.invalid, invalid{d.name, d.clusterHint(), d.file})
		}
		return
	}
	switch d.kind {
	case KindRepository:
		r.Repositories = append(r.Repositories, Repository{d.name, d.repository.URL, d.repository.Interval, d.file, d.line})
	case KindCluster:
		r.Clusters = append(r.Clusters, Cluster{d.name, d.cluster.Recipient, d.file, d.line})
	case KindApplication:
		r.Applications = append(r.Applications, d.declaration(names))
	}
}

// holds are the applications that are held because d is refused: itself, or
// those that name it.
func (d *declared) holds(names index) []string {
	if d.kind == KindApplication {
		return []string{d.name}
	}
	return sorted(names.users[d.kind+"/"+d.name])
}

// clusterHint is the cluster of a refused application, where it can be told.
func (d *declared) clusterHint() string {
	if !validLabel(d.application.Cluster) {
		return ""
	}
	for _, p := range d.decoder.problems {
		if strings.HasPrefix(p.Field, "spec.cluster") || p.Field == "spec" {
			return ""
		}
	}
	return d.application.Cluster
}

func (r *Result) order() {
	slices.SortFunc(r.Repositories, func(a, b Repository) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Clusters, func(a, b Cluster) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(r.Applications, func(a, b events.Declaration) int { return strings.Compare(a.Application, b.Application) })
	at := make([]int, len(r.Rejections)) // where each rejection goes
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(i, j int) int {
		a, b := r.Rejections[i], r.Rejections[j]
		if a.File != b.File {
			return strings.Compare(a.File, b.File)
		}
		return a.Problems[0].Line - b.Problems[0].Line
	})
	// What has one name in one file has one key, and is told of as one.
	var ordered []Rejection
	place, known := make([]int, len(at)), map[string]int{}
	for _, from := range at {
		next := r.Rejections[from]
		to, told := known[next.Key()]
		if !told {
			to = len(ordered)
			known[next.Key()] = to
			ordered = append(ordered, next)
		} else {
			ordered[to].join(next)
		}
		place[from] = to
	}
	r.Rejections = ordered
	for i := range r.unread {
		r.unread[i].rejection = place[r.unread[i].rejection]
	}
}

// join adds the problems of another rejection of the same key, as far as an
// event takes them: who has mended those is told of the next.
func (r *Rejection) join(other Rejection) {
	for _, p := range other.Problems {
		if len(r.Problems) < events.MaxInline {
			r.Problems = append(slices.Clip(r.Problems), p)
		}
	}
	r.Holds = sorted(slices.Concat(r.Holds, other.Holds))
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
