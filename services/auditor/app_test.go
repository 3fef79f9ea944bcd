// SPDX-License-Identifier: Apache-2.0

package auditor

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/manifest"
)

// app is one application of a test.
type app struct {
	*rig
	declaration events.Declaration
	revision    int
	said        int // events of its revisions
	cause       events.Cause
	manifests   events.Manifests
	bundle      manifest.Bundle
}

func (r *rig) app(name string, change ...func(*events.Declaration)) *app {
	r.t.Helper()
	a := &app{rig: r, declaration: events.Declaration{
		Application: name, Cluster: "local", Namespace: r.namespace,
		Source:   events.SourceSpec{Repository: "shop", Branch: "main", Path: "deploy"},
		Converge: events.Convergence{Mode: events.ModeAuto, Prune: true, Timeout: events.Duration(time.Minute)},
		Deletion: events.DeletionDelete,
		Audit:    events.Audit{Heal: true, AlertAfter: events.Duration(time.Hour)},
	}}
	for _, c := range change {
		c(&a.declaration)
	}
	r.lists(name)
	return a
}

// lists publishes the list of the fleet with names, unless it has them: a test of
// many applications lists them at once, as each list has every application looked
// at anew.
func (r *rig) lists(names ...string) {
	r.t.Helper()
	known := len(r.fleet)
	for _, name := range names {
		if !slices.Contains(r.fleet, name) {
			r.fleet = append(r.fleet, name)
		}
	}
	if len(r.fleet) > known {
		r.publishFleet()
	}
}

func (r *rig) publishFleet() {
	r.t.Helper()
	entries := []events.FleetEntry{}
	for _, name := range r.fleet {
		entries = append(entries, events.FleetEntry{Application: name, DeclarationDigest: "sha256:d"})
	}
	data, err := json.Marshal(entries)
	if err != nil {
		r.t.Fatal(err)
	}
	blob, err := r.watcher.Blobs().Put(r.t.Context(), "plumbline.blob.watcher.fleet.local", data)
	if err != nil {
		r.t.Fatal(err)
	}
	r.publish(r.watcher, events.Cause{ID: fmt.Sprintf("fleet-%d", r.fleets.Add(1))}, events.Address{Cluster: "local"},
		&events.FleetObserved{Commit: "f", Count: len(entries), List: blob})
}

func (r *rig) publish(conn *bus.Conn, cause events.Cause, at events.Address, data events.Payload) events.Event {
	r.t.Helper()
	published, err := conn.Publish(r.t.Context(), cause, events.Draft{Data: data, Address: at})
	if err != nil {
		r.t.Fatalf("publish %T: %v", data, err)
	}
	return published[0]
}

func (a *app) at() events.Address {
	return events.Address{Cluster: "local", Application: a.declaration.Application}
}

func (a *app) next(data events.Payload, conn *bus.Conn) events.Event {
	a.t.Helper()
	cause := a.cause
	a.said++
	cause.ID = fmt.Sprintf("%s/%d", cause.ID, a.said)
	return a.publish(conn, cause, a.at(), data)
}

// commit plays the watcher: a new revision is seen.
func (a *app) commit() {
	a.t.Helper()
	a.revision++
	e := a.publish(a.watcher, events.Cause{ID: fmt.Sprintf("%s-commit-%d", a.declaration.Application, a.revision)}, a.at(), &events.CommitObserved{
		Revision: a.rev(), Declaration: a.declaration, DeclarationDigest: "sha256:d",
	})
	a.cause = events.CauseOf(e)
}

func (a *app) rev() events.Revision {
	return events.Revision{Commit: fmt.Sprintf("%040d", a.revision), Ref: "refs/heads/main", Author: events.Person{Name: "Ada", Email: "ada@example.com"}, Title: "a change", Cause: "commit", Trigger: "poll"}
}

// render plays the renderer: the bundle of the newest revision is published.
func (a *app) render(documents ...string) {
	a.t.Helper()
	b := manifest.Bundle{Namespace: a.declaration.Namespace}
	for i, text := range documents {
		var body map[string]any
		if err := yaml.Unmarshal([]byte(text), &body); err != nil {
			a.t.Fatal(err)
		}
		data, _ := json.Marshal(body)
		body, err := manifest.DecodeBody(data)
		if err != nil {
			a.t.Fatal(err)
		}
		id, err := manifest.Identify(body)
		if err != nil {
			a.t.Fatal(err)
		}
		b.Objects = append(b.Objects, manifest.Object{
			Object: id, Digest: manifest.Digest(body), File: "deploy/all.yaml", Line: i + 1, Body: body,
			Since: events.Change{Commit: a.rev().Commit, Author: "Ada", Sequence: a.cause.Sequence},
		})
	}
	a.renderBundle(b)
}

func (a *app) renderBundle(b manifest.Bundle) {
	a.t.Helper()
	manifest.Sort(b.Objects)
	data, err := manifest.Encode(b)
	if err != nil {
		a.t.Fatal(err)
	}
	blob, err := a.renderer.Blobs().Put(a.t.Context(), "plumbline.blob.renderer.local", data)
	if err != nil {
		a.t.Fatal(err)
	}
	a.bundle = b
	a.manifests = events.Manifests{
		Revision: a.rev(), Declaration: a.declaration, DeclarationDigest: "sha256:d", Digest: b.Digest(), Bundle: blob,
		Objects: events.DeclaredObjects{Count: len(b.Objects), Items: b.Declared()}, Renderer: "test",
	}
	if list := b.Declared(); len(list) > events.MaxInline {
		data, err := json.Marshal(list)
		if err != nil {
			a.t.Fatal(err)
		}
		blob, err := a.renderer.Blobs().Put(a.t.Context(), "plumbline.blob.renderer.local", data)
		if err != nil {
			a.t.Fatal(err)
		}
		a.manifests.Objects.Items, a.manifests.Objects.Blob = nil, &blob
	}
	a.next(&events.ManifestsRendered{Manifests: a.manifests}, a.renderer)
}

// write plays the applier's write of one object; it returns what the API
// server made of it.
func (a *app) write(o manifest.Object) *unstructured.Unstructured {
	a.t.Helper()
	body := compare.Stamped(o.Body, a.declaration.Application, o.Digest)
	return a.applyAs(manifest.FieldManager, body)
}

func (r *rig) applyAs(manager string, body map[string]any) *unstructured.Unstructured {
	r.t.Helper()
	u := &unstructured.Unstructured{Object: body}
	client := r.client(u.GroupVersionKind(), u.GetNamespace())
	live, err := client.Apply(r.t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		r.t.Fatalf("apply %s %s: %v", u.GetKind(), u.GetName(), err)
	}
	return live
}

// plurals of the kinds of the tests.
var plurals = map[string]string{
	"Deployment": "deployments", "ConfigMap": "configmaps", "Service": "services", "Secret": "secrets", "Gadget": "gadgets",
	"CustomResourceDefinition": "customresourcedefinitions", "Namespace": "namespaces", "ClusterRole": "clusterroles", "PersistentVolumeClaim": "persistentvolumeclaims",
}

func (r *rig) client(kind schema.GroupVersionKind, namespace string) dynamic.ResourceInterface {
	r.t.Helper()
	plural, ok := plurals[kind.Kind]
	if !ok {
		r.t.Fatalf("no plural of %s", kind.Kind)
	}
	client := r.objects.Resource(kind.GroupVersion().WithResource(plural))
	if kind.Kind == "CustomResourceDefinition" || kind.Kind == "ClusterRole" || kind.Kind == "Namespace" {
		return client
	}
	if namespace == "" {
		namespace = r.namespace
	}
	return client.Namespace(namespace)
}

// apply plays the applier: everything is written, and said.
func (a *app) apply() {
	a.t.Helper()
	a.applied(a.writeAll()...)
	a.next(&events.ConvergenceCompleted{Converging: a.converging()}, a.applier)
}

func (a *app) writeAll() []events.AppliedObject {
	a.t.Helper()
	var list []events.AppliedObject
	for _, o := range a.bundle.Objects {
		list = append(list, a.writeOne(o))
	}
	return list
}

func (a *app) writeOne(o manifest.Object) events.AppliedObject {
	a.t.Helper()
	live := a.write(o)
	id := o.Object
	id.Namespace = live.GetNamespace()
	return events.AppliedObject{Object: id, Action: events.ActionConfigured, Digest: o.Digest, UID: string(live.GetUID()), Fields: metaOf(live).Ours.Fields, ResourceVersion: live.GetResourceVersion()}
}

func (a *app) converging() events.Converging {
	return events.Converging{Revision: a.rev(), Digest: a.manifests.Digest, Cause: "revision"}
}

func (a *app) applied(list ...events.AppliedObject) {
	a.t.Helper()
	objects := events.AppliedObjects{Count: len(list), Items: list}
	if len(list) > events.MaxInline {
		data, err := json.Marshal(list)
		if err != nil {
			a.t.Fatal(err)
		}
		blob, err := a.applierConn().Blobs().Put(a.t.Context(), "plumbline.blob.applier.local", data)
		if err != nil {
			a.t.Fatal(err)
		}
		objects.Items, objects.Blob = nil, &blob
	}
	a.next(&events.ConvergenceApplied{Converging: a.converging(), Objects: objects}, a.applier)
}

func (a *app) applierConn() *bus.Conn { return a.rig.applier }

// converge is a whole revision, from commit to completed.
func (a *app) converge(documents ...string) {
	a.t.Helper()
	a.commit()
	a.render(documents...)
	a.apply()
}
