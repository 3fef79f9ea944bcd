// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/compare"
	"github.com/plumbline-dev/plumbline/internal/manifest"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// commands are what a script can play:
//
//	policy APP [ignore=KIND:POINTER] [prune=false] [mode=observe]
//	commit APP COMMIT FILE...   watcher and renderer: a revision of those files
//	apply APP                   the applier: all of it, and what is gone from it
//	edit FILE MANAGER PATCH     a person: a JSON patch on the object in FILE
//	create FILE MANAGER         a person: an object that Git doesn't declare
//	delete FILE                 a person
//	diverged APP FILE POINTER GIT LIVE MANAGER   the auditor has seen it
//	healed APP                  it is put right
//	held APP                    the applier: a guard stands before what is gone
//	serve USER...               services that work on what they get, and do nothing
//	reject APP                  the renderer sets an input aside
//	fleet                       the watcher has read the fleet
//	refuse                      the watcher refuses a declaration
//	unreachable                 the watcher can't read the repository
func (s *stage) commands() map[string]func(*testscript.TestScript, bool, []string) {
	plays := map[string]func(*testscript.TestScript, []string) error{
		"policy": s.policy, "commit": s.commit, "apply": s.apply, "edit": s.edit, "create": s.create, "delete": s.delete,
		"diverged": s.diverged, "healed": s.healed, "held": s.held, "unreachable": s.unreachable, "serve": s.serve, "reject": s.reject, "refuse": s.refuse, "fleet": s.fleet,
	}
	all := map[string]func(*testscript.TestScript, bool, []string){"scrub": s.scrub, "recorded": recorded}
	for name, play := range plays {
		all[name] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(play(ts, args)) }
	}
	return all
}

func (s *stage) app(name string) *app {
	a, ok := s.apps[name]
	if !ok {
		a = &app{name: name, prune: true, mode: events.ModeAuto}
		s.apps[name] = a
	}
	return a
}

func (a *app) at() events.Address { return events.Address{Cluster: "local", Application: a.name} }

func (s *stage) publish(conn *bus.Conn, cause events.Cause, at events.Address, data events.Payload) (events.Event, error) {
	ctx, cancel := s.context()
	defer cancel()
	s.said++
	published, err := conn.Publish(ctx, cause, events.Draft{Data: data, Address: at, Variant: fmt.Sprint(s.said)})
	if err != nil {
		return events.Event{}, err
	}
	return published[0], nil
}

func (s *stage) policy(_ *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	for _, arg := range args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		switch name {
		case "ignore":
			kind, path, _ := strings.Cut(value, ":")
			a.rules = append(a.rules, events.IgnoreRule{Kind: kind, Path: path})
		case "prune":
			a.prune = value == "true"
		case "mode":
			a.mode = events.Mode(value)
		default:
			return fmt.Errorf("no policy %q", arg)
		}
	}
	return nil
}

func (s *stage) declaration(a *app) events.Declaration {
	return events.Declaration{
		Application: a.name, Cluster: "local", Namespace: s.namespace, Deletion: events.DeletionDelete,
		Source:   events.SourceSpec{Repository: "shop", URL: "https://git.example.com/shop.git", Branch: "main", Path: "deploy"},
		Converge: events.Convergence{Mode: a.mode, Prune: a.prune, Timeout: events.Duration(5 * time.Minute)},
		Audit:    events.Audit{Heal: true, AlertAfter: events.Duration(time.Minute), Ignore: a.rules},
	}
}

var titles = map[string]string{"a": "Open the shop", "b": "Three replicas", "c": "Close the side door"}

func revision(letter string) events.Revision {
	commit := strings.Repeat(letter+letter+letter+letter+"1111", 5)
	when := time.Date(2026, 3, 1, 9, int(letter[0]-'a'), 0, 0, time.UTC)
	return events.Revision{
		Commit: commit, Tree: commit, Ref: "refs/heads/main", Title: titles[letter], Trigger: "webhook", Cause: "commit",
		Author: events.Person{Name: "Ada", When: when}, Committer: events.Person{Name: "Ada", When: when},
		Signature: events.Signature{Verdict: "unsigned"},
	}
}

func (s *stage) commit(ts *testscript.TestScript, args []string) (err error) {
	a, rev := s.app(args[0]), revision(args[1])
	a.observed, err = s.publish(s.watcher, events.Cause{ID: a.name + rev.Commit}, a.at(), &events.CommitObserved{
		Revision: rev, Declaration: s.declaration(a), DeclarationDigest: "sha256:d",
	})
	if err != nil {
		return err
	}
	before := map[string]manifest.Object{}
	for _, o := range a.bundle.Objects {
		before[o.Key()] = o
	}
	b := manifest.Bundle{Namespace: s.namespace}
	for _, file := range args[2:] {
		o, err := s.object(ts, file)
		if err != nil {
			return err
		}
		o.Since = events.Change{Commit: rev.Commit, Author: rev.Author.Name, When: rev.Author.When, Sequence: a.observed.Sequence}
		if was, ok := before[o.Key()]; ok && was.Digest == o.Digest {
			o.Since = was.Since
		}
		b.Objects = append(b.Objects, o)
	}
	manifest.Sort(b.Objects)
	data, err := manifest.Encode(b)
	if err != nil {
		return err
	}
	ctx, cancel := s.context()
	defer cancel()
	at, err := s.renderer.Blobs().Put(ctx, "plumbline.blob.renderer.local", data)
	if err != nil {
		return err
	}
	a.bundle = b
	a.manifests = events.Manifests{
		Revision: rev, Declaration: s.declaration(a), DeclarationDigest: "sha256:d", Digest: b.Digest(), Bundle: at,
		Objects: events.DeclaredObjects{Count: len(b.Objects), Items: b.Declared()}, Renderer: version,
	}
	_, err = s.publish(s.renderer, events.CauseOf(a.observed), a.at(), &events.ManifestsRendered{Manifests: a.manifests})
	return err
}

// object reads a declared object from a file of the script, as the renderer
// would: Secrets sealed, $NS filled in.
func (s *stage) object(ts *testscript.TestScript, file string) (manifest.Object, error) {
	var body map[string]any
	text := strings.ReplaceAll(ts.ReadFile(file), "$NS", s.namespace)
	if err := yaml.Unmarshal([]byte(text), &body); err != nil {
		return manifest.Object{}, err
	}
	data, err := json.Marshal(body)
	if err != nil {
		return manifest.Object{}, err
	}
	if body, err = manifest.DecodeBody(data); err != nil {
		return manifest.Object{}, err
	}
	if seal.IsSecret(body) {
		if body, err = seal.SealSecret(body, s.recipient, s.digestKey); err != nil {
			return manifest.Object{}, err
		}
	}
	id, err := manifest.Identify(body)
	if err != nil {
		return manifest.Object{}, err
	}
	return manifest.Object{Object: id, Digest: manifest.Digest(body), File: "deploy/" + file, Line: 1, Body: body}, nil
}

// plain is the object of a file as a person would write it.
func (s *stage) plain(ts *testscript.TestScript, file string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	text := strings.ReplaceAll(ts.ReadFile(file), "$NS", s.namespace)
	return u, yaml.Unmarshal([]byte(text), &u.Object)
}

func (s *stage) apply(_ *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	var list []events.AppliedObject
	for _, o := range a.bundle.Objects {
		done, err := s.write(a, o)
		if err != nil {
			return err
		}
		list = append(list, done)
	}
	converging := events.Converging{Revision: a.manifests.Revision, Digest: a.manifests.Digest, Cause: "revision"}
	if _, err := s.publish(s.applier, events.CauseOf(a.observed), a.at(), &events.ConvergenceApplied{
		Converging: converging, Counts: events.Counts{Configured: len(list)}, Objects: events.AppliedObjects{Count: len(list), Items: list},
	}); err != nil {
		return err
	}
	_, err := s.publish(s.applier, events.CauseOf(a.observed), a.at(), &events.ConvergenceCompleted{Converging: converging})
	return err
}

func (s *stage) write(a *app, o manifest.Object) (events.AppliedObject, error) {
	body := o.Body
	if seal.IsSecret(body) { // the applier opens it
		var err error
		if body, err = seal.OpenSecret(body, s.identity); err != nil {
			return events.AppliedObject{}, err
		}
	}
	u := &unstructured.Unstructured{Object: compare.Stamped(body, a.name, o.Digest)}
	client, err := s.resource(u)
	if err != nil {
		return events.AppliedObject{}, err
	}
	ctx, cancel := s.context()
	defer cancel()
	live, err := client.Apply(ctx, u.GetName(), u, metav1.ApplyOptions{FieldManager: manifest.FieldManager, Force: true})
	if err != nil {
		return events.AppliedObject{}, err
	}
	id := o.Object
	id.Namespace = live.GetNamespace()
	return events.AppliedObject{
		Object: id, Action: events.ActionCreated, Digest: o.Digest, UID: string(live.GetUID()),
		Fields: compare.Fields(live.GetManagedFields()), ResourceVersion: live.GetResourceVersion(),
	}, nil
}

// by does what a person does to the object in a file.
func (s *stage) by(ts *testscript.TestScript, file string, do func(context.Context, dynamic.ResourceInterface, *unstructured.Unstructured) error) error {
	u, err := s.plain(ts, file)
	if err != nil {
		return err
	}
	client, err := s.resource(u)
	if err != nil {
		return err
	}
	ctx, cancel := s.context()
	defer cancel()
	return do(ctx, client, u)
}

func (s *stage) edit(ts *testscript.TestScript, args []string) error {
	return s.by(ts, args[0], func(ctx context.Context, client dynamic.ResourceInterface, u *unstructured.Unstructured) error {
		live, err := client.Get(ctx, u.GetName(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		// The API server records whole seconds: an edit in the second of the apply
		// would be told in either order.
		bustest.Eventually(s.t, "the next second", func() bool {
			return !slices.ContainsFunc(live.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
				return e.Time != nil && !time.Now().Truncate(time.Second).After(e.Time.Time)
			})
		})
		_, err = client.Patch(ctx, u.GetName(), types.JSONPatchType, []byte(args[2]), metav1.PatchOptions{FieldManager: args[1]})
		return err
	})
}

func (s *stage) create(ts *testscript.TestScript, args []string) error {
	return s.by(ts, args[0], func(ctx context.Context, client dynamic.ResourceInterface, u *unstructured.Unstructured) error {
		for i, ref := range u.GetOwnerReferences() { // by name; the uid is looked up
			owner := &unstructured.Unstructured{}
			owner.SetAPIVersion(ref.APIVersion)
			owner.SetKind(ref.Kind)
			of, err := s.resource(owner)
			if err != nil {
				return err
			}
			live, err := of.Get(ctx, ref.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			refs := u.GetOwnerReferences()
			refs[i].UID = live.GetUID()
			u.SetOwnerReferences(refs)
		}
		_, err := client.Create(ctx, u, metav1.CreateOptions{FieldManager: args[1]})
		return err
	})
}

func (s *stage) delete(ts *testscript.TestScript, args []string) error {
	return s.by(ts, args[0], func(ctx context.Context, client dynamic.ResourceInterface, u *unstructured.Unstructured) error {
		return client.Delete(ctx, u.GetName(), metav1.DeleteOptions{})
	})
}

func (s *stage) divergence(a *app, o manifest.Object) events.Divergence {
	id := o.Object
	id.Namespace = s.namespace
	return events.Divergence{
		Key: "0a0b0c", Kind: events.DivergenceChanged, Object: &id, Since: time.Now().UTC(), Digest: a.manifests.Digest,
		Revision: a.manifests.Revision, File: o.File, Line: o.Line, Declared: o.Since, Heal: true, Message: o.Object.String() + " differs",
	}
}

func (s *stage) diverged(ts *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	o, err := s.object(ts, args[1])
	if err != nil {
		return err
	}
	d := s.divergence(a, o)
	d.Fields, d.FieldCount = []events.FieldDifference{{Path: args[2], Desired: args[3], Live: args[4]}}, 1
	d.Writer = &events.Writer{Manager: args[5], Operation: "Update", Time: time.Now().UTC().Truncate(time.Second)}
	at := a.at()
	at.Key = d.Key
	_, err = s.publish(s.auditor, events.CauseOf(a.observed), at, &events.DivergenceDetected{Divergence: d})
	return err
}

func (s *stage) healed(ts *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	o, err := s.object(ts, args[1])
	if err != nil {
		return err
	}
	at := a.at()
	at.Key = "0a0b0c"
	_, err = s.publish(s.auditor, events.CauseOf(a.observed), at, &events.DivergenceResolved{
		Divergence: s.divergence(a, o), After: events.Duration(320 * time.Millisecond), How: "healed",
	})
	return err
}

func (s *stage) held(_ *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	_, err := s.publish(s.applier, events.CauseOf(a.observed), a.at(), &events.ConvergenceHeld{
		Converging: events.Converging{Revision: a.manifests.Revision, Digest: a.manifests.Digest, Cause: "revision"},
		Reason:     events.ReasonProtectedKind, Message: "1 object is held", Hold: "sha256:" + strings.Repeat("0d", 32),
	})
	return err
}

func (s *stage) unreachable(_ *testscript.TestScript, _ []string) error {
	_, err := s.publish(s.watcher, events.Cause{ID: "out"}, events.Address{Key: "shop"}, &events.SourceUnreachable{
		Repository: "shop", URL: "https://git.example.com/shop.git", Reason: events.ReasonUnauthorized,
		Message: "it refuses our credentials", Since: time.Now().UTC().Add(-time.Minute), Applications: []string{"shop-web"},
	})
	return err
}

func (s *stage) serve(ts *testscript.TestScript, users []string) error {
	conns := map[string]*bus.Conn{"watcher": s.watcher, "renderer": s.renderer, "applier-local": s.applier, "auditor-local": s.auditor}
	for _, user := range users {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		consumer := conns[user].Consumer(user, func(context.Context, events.Event) ([]events.Draft, error) { return nil, nil }, bus.Options{})
		go func() { done <- consumer.Run(ctx) }()
		ts.Defer(func() {
			cancel()
			if err := <-done; err != nil {
				s.t.Errorf("%s: %v", user, err)
			}
		})
		s.bus.Idle(s.t, user)
	}
	return nil
}

func (s *stage) reject(_ *testscript.TestScript, args []string) error {
	a := s.app(args[0])
	at := a.at()
	at.Key = "renderer"
	_, err := s.publish(s.renderer, events.CauseOf(a.observed), at, &events.MessageRejected{
		Service: "renderer", Subject: "plumbline.v1.commit.observed.local." + a.name, Stored: a.observed.Stored,
		Reason: events.ReasonQuarantined, Message: "the render ended without a word", Attempts: 5,
	})
	return err
}

func (s *stage) refuse(_ *testscript.TestScript, _ []string) error {
	_, err := s.publish(s.watcher, events.Cause{ID: "refused"}, events.Address{Key: "Application/shop-db"}, &events.FleetRejected{
		Kind: "Application", Name: "shop-db", File: "apps.yaml", Commit: "f1",
		Problems: []events.Problem{{Line: 4, Field: "spec.source.path", Message: "is missing"}}, Holds: []string{"shop-db"}, HeldCount: 1,
	})
	return err
}

func (s *stage) fleet(_ *testscript.TestScript, _ []string) error {
	_, err := s.publish(s.watcher, events.Cause{ID: "fleet"}, events.Address{Cluster: "local"}, &events.FleetObserved{
		URL: "https://git.example.com/fleet.git", Path: ".", Commit: "f1", Count: 1,
		List: events.Blob{Name: "plumbline.blob.watcher.fleet.local.f", Digest: "sha256:" + strings.Repeat("01", 32), Size: 1, Chunks: 1},
	})
	return err
}
