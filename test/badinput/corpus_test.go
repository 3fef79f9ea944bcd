// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

var only = flag.String("only", "", "a regular expression: the inputs, as <section>-<name>, that TestCorpus is to give; empty: all")

// portion is how many inputs are declared at once, until the healthy application
// has converged with them: what it waits for behind hundreds of first renders is
// that they are many, and not what they are.
const portion = 100

// TestCorpus gives every input to one Plumbline.
func TestCorpus(t *testing.T) {
	inputs, err := Load("corpus")
	if err != nil {
		t.Fatal(err)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		t.Fatal(err)
	}
	inputs = slices.DeleteFunc(inputs, func(in Input) bool { return !wanted.MatchString(in.ID()) })
	build(t)
	s := raise(t, inputs)
	begin := moment{0, time.Now()}
	if err := s.await(Input{Want: Want{Event: "convergence.completed"}}, begin, rig.Of("convergence.completed", "healthy")); err != nil {
		t.Fatal(err)
	}
	n := s.keepHealthy(t)
	for some := range slices.Chunk(slices.DeleteFunc(slices.Clone(inputs), Input.late), portion) {
		if err := s.declare(some); err != nil {
			t.Fatal(err)
		}
		if err := s.converges(s.alive); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("inputs", func(t *testing.T) {
		for section, drive := range drivers {
			own := slices.DeleteFunc(slices.Clone(inputs), func(in Input) bool { return in.Section != section })
			if len(own) == 0 {
				continue // none of -only
			}
			t.Run(section, func(t *testing.T) {
				t.Parallel()
				drive(t, s, own)
			})
		}
	})
	n.onTime(t)
	s.unharmed(t)
}

// drivers give the inputs of a section to Plumbline.
var drivers = map[string]func(*testing.T, *stage, []Input){
	"fleet":      driveFleet,
	"git":        driveApplications,
	"webhook":    driveWebhook,
	"yaml":       driveApplications,
	"kustomize":  driveApplications,
	"manifests":  driveApplications,
	"kubeconfig": driveKubeconfig,
	"bus":        driveBus,
	"slack":      driveSlack,
	"cluster":    driveCluster,
}

// driveApplications awaits what becomes of inputs that are applications; all
// of them were declared in one commit, but for those that are late: these come one
// after another, as two that are large take each other's time.
func driveApplications(t *testing.T, s *stage, inputs []Input) {
	s.told(t, slices.DeleteFunc(slices.Clone(inputs), Input.late))
	for _, in := range slices.DeleteFunc(slices.Clone(inputs), func(in Input) bool { return !in.late() }) {
		if err := s.declare([]Input{in}); err != nil {
			t.Fatal(err)
		}
		s.told(t, []Input{in})
	}
}

// told awaits what is wanted of inputs that were declared.
func (s *stage) told(t *testing.T, inputs []Input) {
	t.Helper()
	since := moment{0, time.Now()}
	s.each(t, inputs, func(t *testing.T, in Input) {
		if err := s.await(in, since, func(e rig.Seen) bool { return outcome(e, in.ID()) }); err != nil {
			t.Error(err)
			return
		}
		s.live(t, in)
	})
}

// live looks into the cluster for what an input wants to be there.
func (s *stage) live(t *testing.T, in Input) {
	t.Helper()
	for _, want := range in.Want.Live {
		words := strings.SplitN(want, " ", 4)
		if len(words) != 4 {
			t.Fatalf("live: %q: want <resource> <name> <JSON pointer> <JSON value>", want)
		}
		resource := schema.GroupVersionResource{Version: "v1", Resource: words[0]}
		if name, group, ok := strings.Cut(words[0], "."); ok {
			resource.Resource, resource.Group = name, group
		}
		o, err := s.Kube.Get(s.alive, resource, in.ID(), words[1])
		if err != nil || o == nil {
			t.Errorf("%s: %v, %v", want, o, err)
			continue
		}
		if got := marshalled(t, at(o.Object, words[2])); got != canonical(t, words[3]) {
			t.Errorf("%s: it is %.300s", want, got)
		}
	}
}

func canonical(t *testing.T, text string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return marshalled(t, v)
}

func marshalled(t *testing.T, v any) string {
	t.Helper()
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// at is what a JSON pointer leads to; nil: nothing.
func at(v any, pointer string) any {
	for part := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		switch c := v.(type) {
		case map[string]any:
			v = c[part]
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

// unharmed looks at everything once all is done.
func (s *stage) unharmed(t *testing.T) {
	for _, name := range processes() {
		if p := s.Process(name); !p.Running() {
			t.Errorf("the %s has ended:\n%s", name, p.Tail(30))
		}
	}
	s.nothingDeleted(t)
	if s.alive.Err() != nil {
		t.Errorf("what came of it all was not judged: %v", context.Cause(s.alive))
		return
	}
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	if err := s.Drained(ctx); err != nil {
		t.Error(err)
	}
	s.kept(t)
	s.saidOnce(t)
	s.wellSaid(t)
	s.logsAreClean(t)
	for _, err := range s.Bus.Bad() {
		if !strings.Contains(err.Error(), "bus") {
			t.Errorf("no event: %v", err)
		}
	}
	s.credentialsStay(t)
	s.slackIsSafe(t)
}

// credentialsStay holds the credentials of Git to the host that they are for.
func (s *stage) credentialsStay(t *testing.T) {
	t.Helper()
	if s.scripts.sawAuth.Load() {
		t.Error("credentials followed a redirect to another host")
	}
	git := slices.ContainsFunc(s.inputs, func(in Input) bool { return in.Section == "git" })
	if git && !s.scripts.atHome.Load() {
		t.Error("no repository of the Git section was asked with its credentials: none could follow a redirect")
	}
}

// nothingDeleted looks for deletions by Plumbline in the API server's own
// log, and for the healthy application's objects.
func (s *stage) nothingDeleted(t *testing.T) {
	t.Helper()
	requests, err := s.Cluster.Requests(s.begun)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if strings.HasPrefix(r.User, "plumbline-") && strings.HasPrefix(r.Verb, "delete") {
			t.Errorf("%s deleted %s", r.User, r.URI)
		}
	}
	list, err := s.Kube.Dynamic.Resource(rig.ConfigMaps).Namespace("healthy").List(t.Context(), metav1.ListOptions{})
	if err != nil || !slices.ContainsFunc(list.Items, func(u unstructured.Unstructured) bool { return u.GetName() == "healthy" }) {
		t.Errorf("the healthy application's object is gone (%v)", err)
	}
	for _, e := range s.Bus.Since(0) {
		if w, ok := e.Data.(*events.ApplicationWithdrawn); ok {
			t.Errorf("%s was withdrawn: %s", e.Application, w.Outcome)
		}
	}
}

// maxMessage is how long what is said to people may be, in bytes.
const maxMessage = 2048

// wellSaid holds every event to what messages promise.
func (s *stage) wellSaid(t *testing.T) {
	t.Helper()
	told, searched := map[string]bool{}, map[string]bool{}
	for _, e := range s.Bus.Since(0) {
		for _, m := range said(e.Event).messages {
			if len(m) > maxMessage && !told[m] {
				told[m] = true
				t.Errorf("%s of %s: a message of %d bytes: %.100s…", e.Type.Name(), e.Application, len(m), m)
			}
			if hidden := s.reveals(m); hidden != "" && !told[m] {
				told[m] = true
				t.Errorf("%s of %s names %s: %s", e.Type.Name(), e.Application, hidden, m)
			}
		}
		if e.Type.Name() == "alert.failed" {
			t.Errorf("Slack was not told of something: %s", said(e.Event))
		}
		body, err := json.Marshal(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if searched[string(body)] {
			continue
		}
		searched[string(body)] = true
		if found := s.canaries.in(body); found != "" {
			t.Errorf("%s of %s holds a secret: %s", e.Type.Name(), e.Application, found)
		}
	}
}

// reveals is what a message says of this machine; empty: nothing.
func (s *stage) reveals(message string) string {
	for _, path := range []string{s.Dir, os.TempDir(), "/git/repository", "/home/", "/root/", "/etc/", "/proc/", "/var/run/", ".go:"} {
		if strings.Contains(message, path) {
			return path
		}
	}
	return ""
}

// logsAreClean reads the logs of all processes.
func (s *stage) logsAreClean(t *testing.T) {
	t.Helper()
	for _, name := range processes() {
		data, err := os.ReadFile(filepath.Join(s.Dir, "log", name+".log"))
		if err != nil {
			t.Fatal(err)
		}
		if found := s.canaries.in(data); found != "" {
			t.Errorf("the log of the %s holds a secret: %s", name, found)
		}
		for line := range strings.Lines(string(data)) {
			for _, sign := range []string{"panic", "goroutine ", "fatal error", "DATA RACE"} {
				if strings.Contains(line, sign) {
					t.Errorf("the log of the %s has %q: %.300s", name, sign, line)
				}
			}
		}
	}
}
