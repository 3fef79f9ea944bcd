// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// patience bounds every wait: many times what it takes on a small machine
// with the race detector.
const patience = 60 * time.Second

// scene is one application in one repository on a rig of its own.
type scene struct {
	*rig.Rig
	t         *testing.T
	repo      *gitserver.Repo
	app       string
	namespace string
}

// play raises a rig on a cluster of its own and declares one application with
// the given extra lines in its spec. The test runs beside others from here.
func play(t *testing.T, app string, files map[string]string, spec ...string) *scene {
	t.Helper()
	s := stage(t, app)
	if err := s.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.commit(files)
	s.declare(spec...)
	return s
}

// stage raises a rig without starting Plumbline on it. The test runs beside
// others from here.
func stage(t *testing.T, app string, env ...string) *scene {
	t.Helper()
	t.Parallel() // a scene mostly waits
	r, err := rig.New(t.Context(), rig.Options{Dir: t.TempDir(), Bin: programs, Cluster: kubelab.Lend(t), Env: env})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{Rig: r, t: t, app: app, namespace: app}
	t.Cleanup(s.end)
	if s.repo, err = r.Repo(app); err != nil {
		t.Fatal(err)
	}
	return s
}

// end stops the rig and forgets its application, so that the next rig on this
// cluster, whose fleet doesn't know it, has nothing to withdraw.
func (s *scene) end() {
	if s.t.Failed() {
		for _, name := range append([]string{"nats"}, rig.Services...) {
			s.t.Logf("%s says:\n%s", name, s.Process(name).Tail(25))
		}
		if s.Bus != nil {
			for _, e := range s.Bus.Since(0) {
				s.t.Logf("%s %s %s", e.At.Format("15:04:05.000"), e.Type.Name(), e.Application)
			}
		}
	}
	if err := s.Close(); err != nil {
		s.t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	maps := s.Kube.Typed.CoreV1().ConfigMaps("plumbline-system")
	if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "plumbline.dev/inventory"}); err != nil {
		s.t.Error(err)
	}
	if err := s.Kube.DeleteNamespace(ctx, s.namespace); err != nil {
		s.t.Error(err)
	}
}

// commit commits, pushes and rings the webhook; it returns the commit's id.
func (s *scene) commit(files map[string]string, remove ...string) string {
	s.t.Helper()
	id, err := s.repo.Commit(gitserver.Commit{Files: files, Delete: remove})
	if err == nil {
		err = s.Push(s.t.Context(), s.repo)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.ring()
	return id
}

// ring rings the webhook where the watcher runs; where it doesn't, it looks
// when it starts.
func (s *scene) ring() {
	s.t.Helper()
	if !s.Process("watcher").Running() {
		return
	}
	err := rig.Until(s.ctx(), func(ctx context.Context) (bool, error) { return s.Ring(ctx, s.repo) == nil, nil })
	if err != nil {
		s.t.Fatalf("the webhook does not answer: %v", err)
	}
}

// declare declares the application in the fleet.
func (s *scene) declare(spec ...string) {
	s.t.Helper()
	declaration := fmt.Sprintf(`apiVersion: plumbline.dev/v1alpha1
kind: Repository
metadata: {name: %[1]s}
spec: {url: %[2]q}
---
apiVersion: plumbline.dev/v1alpha1
kind: Application
metadata: {name: %[1]s}
spec:
  source: {repository: %[1]s, path: deploy}
  namespace: %[3]s
  createNamespace: true
`, s.app, s.repo.URL, s.namespace)
	for _, line := range spec {
		declaration += "  " + line + "\n"
	}
	s.fleet(map[string]string{s.app + ".yaml": declaration})
}

// fleet commits to the fleet repository.
func (s *scene) fleet(files map[string]string, remove ...string) {
	s.t.Helper()
	_, err := s.Fleet.Commit(gitserver.Commit{Files: files, Delete: remove, Message: "Declare"})
	if err == nil {
		err = s.Push(s.t.Context(), s.Fleet)
	}
	if err == nil && s.Process("watcher").Running() {
		err = s.Ring(s.t.Context(), s.Fleet)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.t.Cleanup(cancel)
	return ctx
}

// await waits for an event after mark.
func (s *scene) await(mark int, what string, match func(rig.Seen) bool) rig.Seen {
	s.t.Helper()
	e, err := s.Bus.Wait(s.ctx(), mark, match)
	if err != nil {
		s.t.Fatalf("no %s: %v", what, err)
	}
	return e
}

// converged waits until a commit has converged.
func (s *scene) converged(mark int, commit string) rig.Seen {
	s.t.Helper()
	return s.await(mark, "convergence.completed of "+commit, func(e rig.Seen) bool {
		c, ok := e.Data.(*events.ConvergenceCompleted)
		return ok && c.Revision.Commit == commit
	})
}

// settled waits until the application has converged for the first time.
func (s *scene) settled() {
	s.t.Helper()
	s.await(0, "convergence.completed", rig.Of("convergence.completed", s.app))
}

// begun waits until the applier is through with the look at everything that it
// begins with, in whose queue a commit comes behind it: what is edited by hand
// before that is put back, and nobody is told.
func (s *scene) begun() {
	s.t.Helper()
	s.settled()
	mark := s.Bus.Mark()
	s.converged(mark, s.commit(map[string]string{"deploy/begun.yaml": configMap("begun", fmt.Sprint("by event ", mark))}))
}

// value is the value of key "v" in a ConfigMap, empty where there is none.
func (s *scene) value(name string) string {
	s.t.Helper()
	o, err := s.Kube.Get(s.ctx(), rig.ConfigMaps, s.namespace, name)
	if err != nil {
		s.t.Fatal(err)
	}
	if o == nil {
		return ""
	}
	data, _ := o.Object["data"].(map[string]any)
	v, _ := data["v"].(string)
	return v
}

// eventually waits until a ConfigMap's value is want.
func (s *scene) eventually(name, want string) {
	s.t.Helper()
	var got string
	err := rig.Until(s.ctx(), func(ctx context.Context) (bool, error) {
		o, err := s.Kube.Get(ctx, rig.ConfigMaps, s.namespace, name)
		if err != nil {
			return false, nil //nolint:nilerr // the API server may be the thing that is out
		}
		got = ""
		if o != nil {
			data, _ := o.Object["data"].(map[string]any)
			got, _ = data["v"].(string)
		}
		return got == want, nil
	})
	if err != nil {
		s.t.Fatalf("ConfigMap %s: want %q, it stayed at %q: %v", name, want, got, err)
	}
}

// configMap is a file with one ConfigMap.
func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: %q}\n", name, value)
}

// configMaps are files with n ConfigMaps, item-0 to item-n-1.
func configMaps(n int, value string) map[string]string {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("deploy/item-%d.yaml", i)] = configMap(fmt.Sprintf("item-%d", i), value)
	}
	return files
}

// one is a bundle of one ConfigMap.
func one(value string) map[string]string {
	return map[string]string{"deploy/cm.yaml": configMap("cm", value)}
}

// versions are the resourceVersions of the application's ConfigMaps.
func (s *scene) versions() string {
	s.t.Helper()
	list, err := s.Kube.Dynamic.Resource(rig.ConfigMaps).Namespace(s.namespace).List(s.ctx(), metav1.ListOptions{LabelSelector: "plumbline.dev/application=" + s.app})
	if err != nil {
		s.t.Fatal(err)
	}
	var b strings.Builder
	for i := range list.Items {
		fmt.Fprintf(&b, "%s@%s ", list.Items[i].GetName(), list.Items[i].GetResourceVersion())
	}
	return b.String()
}

// record is the version of the application's inventory.
func (s *scene) record() string {
	s.t.Helper()
	u, err := s.Kube.Dynamic.Resource(rig.ConfigMaps).Namespace("plumbline-system").Get(s.ctx(), "inventory."+s.app, metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return u.GetResourceVersion()
}

// cli runs the command line against the rig and returns its output.
func (s *scene) cli(args ...string) string {
	s.t.Helper()
	out, err := s.CLI(s.ctx(), args...)
	if err != nil {
		s.t.Fatalf("plumbline %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
