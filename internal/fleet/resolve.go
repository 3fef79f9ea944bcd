// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"path"

	"github.com/plumbline-dev/plumbline/events"
)

// index finds declarations by kind/name, and the applications that name them.
type index struct {
	declared map[string][]*declared
	users    map[string][]string
}

// resolve checks what declarations say of one another: each is there once, and
// what an application names is declared and valid.
func resolve(all []*declared, someUnread bool) index {
	names := index{map[string][]*declared{}, map[string][]string{}}
	for _, d := range all {
		key := d.kind + "/" + d.name
		names.declared[key] = append(names.declared[key], d)
	}
	for _, d := range all {
		for _, other := range names.declared[d.kind+"/"+d.name] {
			if other != d {
				d.decoder.refuse(events.ReasonDeclaredTwice, 0, "metadata.name", "%s %s is declared at %s:%d too; declare it once", d.kind, d.name, other.file, other.line)
				break
			}
		}
	}
	for _, d := range all {
		if d.kind != KindApplication {
			continue
		}
		d.refer("spec.source.repository", KindRepository, d.application.Source.Repository, names, someUnread)
		if d.application.Cluster != LocalCluster {
			d.refer("spec.cluster", KindCluster, d.application.Cluster, names, someUnread)
		}
	}
	return names
}

// refer checks that an application's reference leads somewhere.
func (d *declared) refer(field, kind, name string, names index, someUnread bool) {
	if !validLabel(name) {
		return // told already
	}
	key := kind + "/" + name
	names.users[key] = append(names.users[key], d.name)
	found := names.declared[key]
	switch {
	case len(found) == 0 && someUnread:
		d.decoder.refuse(events.ReasonReferenceUnknown, 0, field, "%s %s is not declared in what can be read; see the files that can't", kind, name)
	case len(found) == 0:
		d.decoder.refuse(events.ReasonReferenceUnknown, 0, field, "%s %s is not declared; declare it, or name another one", kind, name)
	case len(found[0].decoder.problems) > 0:
		d.decoder.refuse(events.ReasonReferenceUnknown, 0, field, "%s %s, at %s:%d, is not valid itself", kind, name, found[0].file, found[0].line)
	}
}

// maxDeclaration is how large an application may be, in bytes of JSON with
// everything filled in: it travels whole in events of at most
// [events.MaxSize], beside a revision and a list of objects.
const maxDeclaration = 16 << 10

// checkSize refuses an application that no event can carry.
func (d *declared) checkSize(names index) {
	if d.kind != KindApplication || len(d.decoder.problems) > 0 {
		return
	}
	text, err := json.Marshal(d.declaration(names))
	if err != nil {
		panic("fleet: a declaration can't be encoded: " + err.Error()) // it holds texts, numbers and lists alone
	}
	if len(text) > maxDeclaration {
		d.decoder.problem(0, "spec.audit.ignore", "makes a declaration of %d bytes, and at most %d are allowed; write fewer or shorter rules", len(text), maxDeclaration)
	}
}

// declaration is an accepted application. The cluster's recipient is filled in
// by [Merge].
func (d *declared) declaration(names index) events.Declaration {
	a := d.application
	deletion := events.Deletion(a.Deletion)
	if deletion == "" && a.Converge.Prune {
		deletion = events.DeletionDelete
	} else if deletion == "" {
		deletion = events.DeletionOrphan
	}
	out := events.Declaration{
		Application: d.name,
		Source: events.SourceSpec{
			Repository: a.Source.Repository,
			URL:        names.declared[KindRepository+"/"+a.Source.Repository][0].repository.URL,
			Branch:     a.Source.Branch, Tag: a.Source.Tag, Commit: a.Source.Commit,
			Path: path.Clean(a.Source.Path),
		},
		Cluster: a.Cluster, Namespace: a.Namespace, CreateNamespace: a.CreateNamespace,
		Converge: events.Convergence{Mode: events.Mode(a.Converge.Mode), Prune: a.Converge.Prune, Timeout: a.Converge.Timeout},
		Deletion: deletion,
		Audit:    events.Audit{Heal: a.Audit.Heal, AlertAfter: a.Audit.AlertAfter},
		File:     d.file, Line: d.line,
	}
	for _, rule := range a.Audit.Ignore {
		out.Audit.Ignore = append(out.Audit.Ignore, events.IgnoreRule(rule))
	}
	return out
}
