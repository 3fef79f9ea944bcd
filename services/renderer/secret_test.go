// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigs.k8s.io/kustomize/api/hasher"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/seal"
)

// canary is a value that is in no test but as a secret.
const canary = "cAnArY-vAlUe-81724"

// forms are the ways in which a text may show: as it is, in hex, in base64 at
// each of the three offsets, and in halves.
func forms(secret string) []string {
	out := []string{secret, hex.EncodeToString([]byte(secret)), secret[:len(secret)/2], secret[len(secret)/2:]}
	for offset := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat(" ", offset) + secret))
		// The first and the last digits hold bits of what is around.
		out = append(out, text[4:len(text)-4])
	}
	return out
}

// shown lists the forms of the canary that a text holds.
func shown(text []byte) []string {
	var out []string
	for _, form := range forms(canary) {
		if bytes.Contains(text, []byte(form)) {
			out = append(out, form)
		}
	}
	return out
}

func TestShownFindsTheCanary(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("password=" + canary + "\n"))
	for _, text := range []string{"x" + canary + "y", encoded, hex.EncodeToString([]byte(canary)), "x" + canary[9:]} {
		if shown([]byte(text)) == nil {
			t.Errorf("not found in %q", text)
		}
	}
	if got := shown([]byte("plumbline:sealed:v1")); got != nil {
		t.Errorf("found %q in nothing", got)
	}
}

// locked is a log that many write to.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.buf.Bytes())
}

// TestAdvisoryC9NoPlaintextLeavesTheProcess renders Secrets, good and broken in every
// way, and searches all that was published and logged for their values.
func TestAdvisoryC9NoPlaintextLeavesTheProcess(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString([]byte(canary))
	secret := func(rest string) string { return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n" + rest }
	kustomized := func(kustomization, file string) map[string]string {
		return map[string]string{"app/kustomization.yaml": kustomization, "app/a.yaml": file}
	}
	cases := []map[string]string{
		{"app/a.yaml": secret("data: {p: " + b64 + "}\nstringData: {q: " + canary + "}\n")},
		{"app/a.yaml": secret("  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"p\":\"" + canary + "\"}}'\nstringData: {p: " + canary + "}\n")},
		{"app/a.json": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"` + canary + `"}}`},
		{"app/a.yaml": "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: s}\n  stringData: {p: " + canary + "}\n"},
		{"app/a.yaml": "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: s}\n  stringData: {p: " + canary + "}\n"},
		kustomized("secretGenerator:\n- name: s\n  literals: [p="+canary+"]\n", ""),
		kustomized("secretGenerator:\n- name: s\n  files: [a.yaml]\n", canary),
		kustomized("secretGenerator:\n- name: s\n  envs: [a.yaml]\n", "P="+canary),
		kustomized("resources: [a.yaml]\n", secret("stringData: {p: "+canary+"}\n")),
		{"app/a.yaml": strings.Replace(secret("stringData: {p: "+canary+"}\n"), "Secret", "secret", 1)},
		{"app/a.yaml": strings.Replace(secret("stringData: {p: "+canary+"}\n"), "v1", "core/v1", 1)},
		{"app/a.yaml": strings.Replace(secret("data: {p: "+b64+"}\n"), "v1", "v1beta1", 1)},
		// Broken ones.
		{"app/a.yaml": secret("data: {p: " + canary + "!}\n")},
		{"app/a.yaml": secret("data:\n  p: *" + canary + "\n")},
		{"app/a.yaml": secret("data:\n  p: !" + canary + " x\n")},
		{"app/a.yaml": secret("stringData:\n  p: " + canary + "\n p: " + canary + "\n")},
		{"app/a.yaml": secret("stringData: {p: '" + canary + "}\n")},
		{"app/a.yaml": secret("stringData: [" + canary + "]\n")},
		{"app/a.yaml": secret("stringData: {p: {" + canary + ": x}}\n")},
		{"app/a.yaml": secret("stringData: {p: 1, p: " + canary + "}\n")},
		{"app/a.json": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"` + canary + `}`},
		{"app/a.json": `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":` + canary + `}}`},
		{"app/a.yaml": secret("stringData: {p: " + canary + "}\n---\n" + secret("stringData: {p: "+canary+"}\n"))},
		{"app/a.yaml": "stringData: {p: " + canary + "}\n"},
		{"app/a.yaml": canary},
		kustomized("resources: [a.yaml]\n", "stringData: {p: "+canary+"}\n"),
		kustomized("resources: [a.yaml]\n", secret("stringData: {p: "+canary+"\n")),
		kustomized("resources: [a.yaml]\n", canary),
		kustomized("resources: [a.yaml]\npatches:\n- patch: '"+canary+"'\n", secret("stringData: {p: x}\n")),
		kustomized("resources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: '[{op: test, path: /stringData/p, value: "+canary+"}]'\n", secret("stringData: {p: x}\n")),
		kustomized("resources: [a.yaml]\npatches:\n- patch: |\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: other}\n    stringData: {p: "+canary+"}\n", secret("stringData: {p: x}\n")),
		kustomized("resources: [a.yaml]\npatchesStrategicMerge:\n- |\n  stringData: {p: "+canary+"}\n", secret("stringData: {p: x}\n")),
		kustomized("secretGenerator:\n- name: s\n  literals: ["+canary+"]\n", ""),
		kustomized("secretGenerator:\n- name: s\n  envs: [a.yaml]\n", "P = "+canary+"\n=\n"),
		kustomized("secretGenerator:\n- name: s\n  files: [p="+canary+"]\n", ""),
		kustomized("resources: [a.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.p.q}\n  targets: [{select: {kind: Secret}, fieldPaths: [data.x.y]}]\n", secret("stringData: {p: "+canary+"}\n")),
		kustomized("resources: [a.yaml]\nvars: [{name: X, objref: {kind: Secret, name: s, apiVersion: v1}, fieldref: {fieldpath: stringData.none}}]\n", secret("stringData: {p: "+canary+"}\n")),
		kustomized("resources: [a.yaml]\n", secret("data: {p: '"+canary+"!'}\n")),
		kustomized("resources: [a.yaml]\nnamespace: {x: "+canary+"}\n", secret("stringData: {p: x}\n")),
	}
	l := newLab(t)
	logged := &locked{}
	l.startWith(slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug})))
	var ins []events.Event
	for i, files := range cases {
		d := l.app(fmt.Sprintf("app%d", i), "app")
		ins = append(ins, l.push(d, files))
		d.Application, d.Recipient = fmt.Sprintf("unsealed%d", i), ""
		ins = append(ins, l.push(d, files))
	}
	rendered := 0
	for _, in := range ins {
		switch d := l.outcome(in).Data.(type) {
		case *events.RenderFailed:
			if shown([]byte(fmt.Sprintf("%+v", d))) != nil {
				t.Errorf("%s: the failure quotes the secret: %+v", in.Application, d)
			}
		case *events.ManifestsRendered:
			rendered++
			if strings.HasPrefix(in.Application, "unsealed") {
				t.Errorf("%s was rendered without a recipient", in.Application)
			}
			l.opens(d)
			for _, o := range l.bundle(d.Bundle).Objects {
				if text := fmt.Sprint(o.Body); shown([]byte(text)) != nil {
					t.Errorf("%s: the bundle holds the secret: %s", in.Application, text)
				}
			}
		}
	}
	if rendered < 9 {
		t.Errorf("only %d of the good ones were rendered", rendered)
	}
	l.stop()
	store := l.server.Store()
	l.server.Down(t)
	sealed := 0
	err := filepath.WalkDir(store, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		sealed += bytes.Count(data, []byte(seal.Prefix))
		if forms := shown(data); forms != nil {
			t.Errorf("%s holds %q", filepath.Base(name), forms)
		}
		return err
	})
	if err != nil || sealed < rendered {
		t.Errorf("the search does not see what is stored: %d sealed values, %v", sealed, err)
	}
	if forms := shown(logged.bytes()); forms != nil {
		t.Errorf("the log holds %q", forms)
	}
}

// opens checks that a bundle's Secrets open with the cluster's identity.
func (l *lab) opens(m *events.ManifestsRendered) {
	l.t.Helper()
	for _, o := range l.bundle(m.Bundle).Objects {
		if !seal.IsSecret(o.Body) {
			continue
		}
		if _, err := seal.OpenSecret(o.Body, l.identity); err != nil {
			l.t.Error(err)
		}
	}
}

// startWith is start with a log of its own.
func (l *lab) startWith(log *slog.Logger) {
	l.t.Helper()
	l.log = log
	l.start()
}

// The suffix that kustomize puts behind a generated Secret's name is a hash of
// what it holds: who reads the name could try passwords.
func TestNamesOfGeneratedSecretsTellNothing(t *testing.T) {
	l := newLab(t)
	l.start()
	files := func(value string) map[string]string {
		return map[string]string{
			"web/kustomization.yaml": "resources: [pod.yaml]\nsecretGenerator:\n- name: db\n  literals: [p=" + value + "]\n",
			"web/pod.yaml":           "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers: [{name: web, image: web, envFrom: [{secretRef: {name: db}}]}]\n",
		}
	}
	// What kustomize calls it: anyone can compute that.
	node := yaml.MustParse("apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ntype: Opaque\ndata: {p: aHVudGVyMg==}\n")
	guess, err := (&hasher.Hasher{}).Hash(node)
	if err != nil {
		t.Fatal(err)
	}
	name := func(value string) string {
		t.Helper()
		m := as[*events.ManifestsRendered](t, l.outcome(l.push(l.app("web", "web"), files(value))))
		var secret, ref string
		for _, o := range l.bundle(m.Bundle).Objects {
			if o.Kind == "Secret" {
				secret = o.Name
			} else {
				ref = fmt.Sprint(o.Body)
			}
			if text := fmt.Sprint(o.Object, o.Body); strings.Contains(text, guess) {
				t.Errorf("the name tells the value: %s", text)
			}
		}
		if !strings.HasPrefix(secret, "db-") || !strings.Contains(ref, "name:"+secret) {
			t.Errorf("the Secret is %s, the reference in %s", secret, ref)
		}
		return secret
	}
	first, second := name("hunter2"), name("hunter3")
	if first == second {
		t.Error("another value has the same name")
	}
	if again := name("hunter2"); again != first {
		t.Errorf("the same value has the names %s and %s", first, again)
	}
}

// What a Secret holds elsewhere than below data and stringData isn't sealed: it
// is refused, and nothing of it repeated.
func TestSecretsWithValuesElsewhere(t *testing.T) {
	l := newLab(t)
	l.start()
	for name, rest := range map[string]string{
		"a misspelt stringData": "stringdata: {p: " + canary + "}\n",
		"a misspelt data":       "Data: {p: " + canary + "}\n",
		"a value beside data":   "password: " + canary + "\ndata: {}\n",
		"a name that is one":    canary + ": x\n",
		"one too deep":          "spec: {stringData: {p: " + canary + "}}\n",
		"below metadata":        "  stringData: {p: " + canary + "}\n",
		"in type":               "type: [" + canary + "]\n",
		"in immutable":          "immutable: " + canary + "\n",
	} {
		files := map[string]string{"web/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\n" + rest}
		f := as[*events.RenderFailed](t, l.outcome(l.push(l.app("web", "web"), files)))
		if f.Reason != events.ReasonObjectInvalid || f.File != "web/s.yaml" || shown([]byte(fmt.Sprintf("%+v", f))) != nil {
			t.Errorf("%s: %+v", name, f)
		}
	}
	files := map[string]string{"web/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s, labels: {a: b}, annotations: {c: d}, finalizers: [e.example.com/f]}\ntype: Opaque\nimmutable: true\nstringData: {p: x}\n"}
	as[*events.ManifestsRendered](t, l.outcome(l.push(l.app("web", "web"), files)))
}

func TestNoRecipient(t *testing.T) {
	l := newLab(t)
	l.start()
	d := l.app("web", "web")
	d.Recipient = ""
	files := map[string]string{"web/a.yaml": configMap("a", "x")}
	as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	files["web/s.yaml"] = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: x}\n"
	f := as[*events.RenderFailed](t, l.outcome(l.push(d, files)))
	if f.Reason != events.ReasonNoRecipient || f.File != "web/s.yaml" || f.Line != 1 || f.Object == nil || f.Object.Name != "s" {
		t.Errorf("%+v", f)
	}
	d.Recipient = "age1nonsense"
	f = as[*events.RenderFailed](t, l.outcome(l.push(d, files)))
	if f.Reason != events.ReasonNoRecipient {
		t.Errorf("%+v", f)
	}
	d.Recipient = l.recipient.String()
	as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
}

func TestDigestsOfSecretsAreStable(t *testing.T) {
	l := newLab(t)
	d := l.app("web", "web")
	files := map[string]string{"web/s.yaml": "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: x}\n"}
	l.start()
	first := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	l.stop()
	l.start()
	second := as[*events.ManifestsUnchanged](t, l.outcome(l.push(d, files)))
	if second.Digest != first.Digest || second.Bundle != first.Bundle || !second.Rendered {
		t.Errorf("%+v", second)
	}
	files["web/s.yaml"] = strings.Replace(files["web/s.yaml"], "{p: x}", "{p: z}", 1)
	third := as[*events.ManifestsRendered](t, l.outcome(l.push(d, files)))
	if third.Digest == first.Digest {
		t.Error("another value has the same digest")
	}
}

// quoting is a pipe that breaks down with what it read, as a parser may.
type quoting struct{}

func (quoting) Read([]byte) (int, error) { panic("can't parse " + canary) }

// What a panic says may be of a file: it is not repeated.
func TestAdvisoryC9APanicIsNotQuoted(t *testing.T) {
	r, err := renderOne(&client{r: quoting{}, w: io.Discard}, request{Path: "app"})
	if err != nil || r.Failure == nil || r.Failure.Reason != events.ReasonCrashed || !r.Spent {
		t.Fatalf("%+v, %v", r, err)
	}
	if shown([]byte(fmt.Sprintf("%+v", r.Failure))) != nil {
		t.Errorf("the failure quotes the secret: %+v", r.Failure)
	}
}
