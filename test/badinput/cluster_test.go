// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// driveCluster lets each input's application converge and then does in the
// cluster, as somebody with every right, what its lines say:
//
//	as NAME                             who does what follows (the field manager)
//	create FILE                         the objects of a file below in/
//	patch RESOURCE [NS/]NAME TEXT       a JSON merge patch; TEXT may be generated: text GENERATOR…
//	delete RESOURCE [NS/]NAME
//	gone RESOURCE [NS/]NAME             it is to be gone
//	sync                                everything is asked to look at the application now
//	mutate PATCH                        a webhook that changes each ConfigMap of the namespace
//	commit                              a new commit of the application, which is to converge,
//	                                    or to fail where that is wanted
//	push FILE…                          a new commit of the application, with files of in/ in deploy/;
//	                                    what becomes of it is awaited by the next line
//	beside                              the healthy application is to converge meanwhile
//	writes RESOURCE NAME N              Plumbline writes the object at most N times in each minute
//	                                    begun, from the first line to this one
//	await TYPE                          an event of the application since the last line before,
//	                                    about the last commit where there is one
//	then                                what want's "then" has is said of the last commit
//
// RESOURCE is a plural of v1, or plural.version.group.
func driveCluster(t *testing.T, s *stage, inputs []Input) {
	s.each(t, inputs, func(t *testing.T, in Input) {
		t.Parallel()
		if err := s.await(Input{Want: Want{Event: "convergence.completed"}}, moment{0, time.Now()}, rig.Of("convergence.completed", in.ID())); err != nil {
			t.Fatal(err)
		}
		h := hand{stage: s, in: in, manager: "somebody", begun: s.now()}
		h.since = h.begun
		for line := range strings.Lines(in.Parts["cluster"]) {
			if err := h.do(s.alive, t, strings.TrimSpace(line)); err != nil {
				t.Fatalf("%.200s: %v", line, err)
			}
		}
		if in.Want.Event == "none" {
			s.silences.add(in, h.begun.mark, 0)
		} else if err := s.await(in, h.begun, func(e rig.Seen) bool { return e.Application == in.ID() && e.Type.Name() == in.Want.Event }); err != nil {
			t.Error(err)
		}
		h.lives(t)
	})
}

// hand is somebody at work in the cluster.
type hand struct {
	*stage
	in      Input
	manager string
	begun   moment // the first line
	since   moment
	commits int
	commit  string // the last one; empty: none
}

func (h *hand) do(ctx context.Context, t *testing.T, line string) error {
	t.Helper()
	if patch, ok := strings.CutPrefix(line, "mutate "); ok {
		return h.mutate(ctx, t, patch)
	}
	words, err := words(line)
	if err != nil || len(words) == 0 {
		return err
	}
	before := h.now()
	defer func() { h.since = before }()
	switch op := words[0]; {
	case op == "as" && len(words) == 2:
		h.manager = words[1]
	case op == "create" && len(words) == 2:
		return h.create(ctx, words[1])
	case op == "patch" && len(words) > 3:
		text := []byte(strings.Join(words[3:], " "))
		if words[3] == "text" {
			filled, err := generated(words[5:])
			if err != nil {
				return err
			}
			text = []byte(strings.ReplaceAll(words[4], "@@", string(filled)))
		}
		client, name := h.client(words[1], words[2])
		_, err := client.Patch(ctx, name, types.MergePatchType, text, metav1.PatchOptions{FieldManager: h.manager})
		return err
	case op == "delete" && len(words) == 3:
		client, name := h.client(words[1], words[2])
		return client.Delete(ctx, name, metav1.DeleteOptions{})
	case op == "gone" && len(words) == 3:
		return h.gone(ctx, words[1], words[2])
	case op == "writes" && len(words) == 4:
		return h.writes(words[1], words[2], words[3])
	case op == "sync":
		return h.lookNow(ctx, h.in)
	case op == "commit":
		return h.converge(ctx)
	case op == "push":
		return h.push(ctx, words[1:])
	case op == "beside":
		return h.converges(ctx)
	case op == "await" && len(words) == 2:
		return h.hears(h.since, words[1], "")
	case op == "then" && h.in.Want.Then != "":
		return h.hears(h.begun, h.in.Want.Event, h.in.Want.Then)
	default:
		return fmt.Errorf("no such line")
	}
	return nil
}

// hears waits for an event of the application since then that says something, and
// is about the last commit.
func (h *hand) hears(since moment, name, part string) error {
	ctx, cancel := context.WithTimeout(h.alive, patience)
	defer cancel()
	_, err := h.Bus.Wait(ctx, since.mark, func(e rig.Seen) bool {
		return rig.Of(name, h.in.ID())(e) && h.isAbout(e.Event) && said(e.Event).holds(part)
	})
	return err
}

// client is where a resource is reached, and the name in it.
func (h *hand) client(resource, name string) (dynamic.ResourceInterface, string) {
	gvr := schema.GroupVersionResource{Version: "v1", Resource: resource}
	if parts := strings.SplitN(resource, ".", 3); len(parts) == 3 {
		gvr = schema.GroupVersionResource{Resource: parts[0], Version: parts[1], Group: parts[2]}
	}
	namespace := h.in.ID()
	if ns, n, ok := strings.Cut(name, "/"); ok {
		namespace, name = ns, n
	}
	client := h.Kube.Dynamic.Resource(gvr)
	if namespace == "" || gvr == rig.Namespaces {
		return client, name
	}
	return client.Namespace(namespace), name
}

// create makes the objects of a file; their resource is the plural of their
// kind in small letters.
func (h *hand) create(ctx context.Context, file string) error {
	text, err := h.in.Text(file)
	if err != nil {
		return err
	}
	for doc := range strings.SplitSeq(text, "\n---\n") {
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &u.Object); err != nil {
			return err
		}
		gvk := u.GroupVersionKind()
		resource := strings.ToLower(gvk.Kind) + "s"
		if strings.HasSuffix(resource, "ys") {
			resource = strings.TrimSuffix(resource, "ys") + "ies"
		}
		if gvk.Group != "" {
			resource += "." + gvk.Version + "." + gvk.Group
		}
		namespace := u.GetNamespace()
		client, _ := h.client(resource, namespace+"/"+u.GetName())
		if _, err := client.Create(ctx, u, metav1.CreateOptions{FieldManager: h.manager}); err != nil && !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	return nil
}

// gone waits until an object is gone.
func (h *hand) gone(ctx context.Context, resource, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	client, name := h.client(resource, name)
	return rig.Until(ctx, func(ctx context.Context) (bool, error) {
		_, err := client.Get(ctx, name, metav1.GetOptions{})
		return apierrors.IsNotFound(err), nil // whatever else it is, it may come to be gone
	})
}

// writes holds Plumbline to at most so many writes of an object of the input's
// namespace in each minute, by the API server's own log: it may come back, and
// must not fight.
func (h *hand) writes(resource, name, most string) error {
	limit, err := strconv.Atoi(most)
	if err != nil {
		return err
	}
	requests, err := h.Cluster.Requests(h.begun.at)
	if err != nil {
		return err
	}
	n := 0
	for _, r := range requests {
		ours := r.Resource == resource && r.Namespace == h.in.ID() && r.Name == name && strings.HasPrefix(r.User, "plumbline-")
		if ours && !slices.Contains([]string{"get", "list", "watch"}, r.Verb) {
			n++
		}
	}
	minutes := int(time.Since(h.begun.at)/time.Minute) + 1
	if n == 0 || n > limit*minutes {
		return fmt.Errorf("%d writes within %d minutes, and at least one and at most %d in each are wanted", n, minutes, limit)
	}
	return nil
}

// push pushes a new commit of the application that adds a ConfigMap, and files
// of the input to those that are rendered.
func (h *hand) push(ctx context.Context, files []string) error {
	entries, err := h.in.Tree()
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := h.in.Text(file)
		if err != nil {
			return err
		}
		entries = append(entries, Entry{"deploy/" + file, "100644", []byte(text)})
	}
	h.commits++
	o := objects{}
	extra := fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: commit}, data: {count: %q}}\n", fmt.Sprint(h.commits))
	h.commit = o.commit(o.tree(append(entries, Entry{"deploy/commit.yaml", "100644", []byte(extra)})), extra)
	if err := o.write(h.corpus.Bare, map[string]string{"refs/heads/" + h.in.ID(): h.commit}); err != nil {
		return err
	}
	return h.Ring(ctx, h.corpus)
}

// isAbout says whether an outcome is about the last commit, where there is one.
func (h *hand) isAbout(e events.Event) bool {
	if h.commit == "" {
		return true
	}
	switch d := e.Data.(type) {
	case *events.RenderFailed:
		return d.Revision.Commit == h.commit
	case *events.ConvergenceFailed:
		return d.Revision.Commit == h.commit
	case *events.ConvergenceCompleted:
		return d.Revision.Commit == h.commit
	}
	return true
}

// converge pushes a new commit, and awaits that it converges, or fails as the
// input wants it to.
func (h *hand) converge(ctx context.Context) error {
	mark := h.Bus.Mark()
	if err := h.push(ctx, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	e, err := h.Bus.Wait(ctx, mark, func(e rig.Seen) bool { return outcome(e, h.in.ID()) && h.isAbout(e.Event) })
	if end := h.end(); err == nil && e.Type.Name() != end {
		err = fmt.Errorf("the commit doesn't end with %s: %s", end, said(e.Event))
	}
	return err
}

// end is how a commit is to end.
func (h *hand) end() string {
	if h.in.Want.Event == "convergence.failed" {
		return h.in.Want.Event
	}
	return "convergence.completed"
}

// lives waits until the cluster holds what is wanted to be there.
func (h *hand) lives(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(h.alive, grace)
	defer cancel()
	for _, want := range h.in.Want.Live {
		var got string
		err := rig.Until(ctx, func(ctx context.Context) (bool, error) {
			words := strings.SplitN(want, " ", 4)
			client, name := h.client(words[0], words[1])
			o, err := client.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				got = err.Error()
				return false, nil
			}
			got = marshalled(t, at(o.Object, words[2]))
			return got == canonical(t, words[3]), nil
		})
		if err != nil {
			t.Errorf("%s: it is %.300s", want, got)
		}
	}
}
