// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secrets is how many there are to plant, and least how many are.
const (
	secrets = 1500
	least   = 1000
)

// plant hands out secrets and remembers where each went.
type plant struct {
	next   int
	fields map[string]int
}

func newPlant() *plant { return &plant{fields: map[string]int{}} }

// secret is one more, for a kind of field.
func (p *plant) secret(field string) string {
	if p.next == secrets {
		panic("more secrets are wanted than there are")
	}
	p.fields[field]++
	p.next++
	return set.Value(p.next - 1)
}

// fill replaces every @@ of a text by one more secret, and every @64 by one in
// base64.
func (p *plant) fill(field, text string) string {
	for {
		plain, encoded := strings.Index(text, "@@"), strings.Index(text, "@64")
		switch {
		case plain < 0 && encoded < 0:
			return text
		case encoded < 0 || plain >= 0 && plain < encoded:
			text = strings.Replace(text, "@@", p.secret(field), 1)
		default:
			text = strings.Replace(text, "@64", base64.StdEncoding.EncodeToString([]byte(p.secret(field))), 1)
		}
	}
}

// String says how many are planted where.
func (p *plant) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d secrets planted", p.next)
	for _, field := range slices.Sorted(maps.Keys(p.fields)) {
		fmt.Fprintf(&b, "\n  %4d  %s", p.fields[field], field)
	}
	return b.String()
}

// app is an application, and its files below its own folder.
type app struct {
	name  string
	files map[string]string
	spec  []string // lines of its declaration
	fault string   // what is wrong with it, where something is
}

// secretYAML is a Secret with the rest of its fields.
func secretYAML(name, rest string) string {
	return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: " + name + "\n" + rest
}

const lastApplied = "  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{\"stringData\":{\"p\":\"@@\"},\"data\":{\"q\":\"@64\"}}'\n"

// edited are the Secrets that somebody edits by hand, of each of two
// applications: one that is healed, one that is only watched.
const edited = 42

// good are applications that converge.
func (p *plant) good() []app {
	var plain, watched, typed, listed strings.Builder
	for i := range edited {
		fmt.Fprintf(&plain, "---\n%s", p.fill("Secret: data, stringData, last-applied-configuration",
			secretYAML(fmt.Sprintf("plain-%d", i), lastApplied+"type: Opaque\ndata: {a: @64, b: @64, c: @64}\nstringData: {d: @@, e: \"@@\", f: '@@ and more'}\n")))
		fmt.Fprintf(&watched, "---\n%s", p.fill("Secret of an application that is only watched", secretYAML(fmt.Sprintf("watched-%d", i), "data: {a: @64}\nstringData: {d: @@}\n")))
	}
	for i := range 10 {
		docker := `{"auths":{"registry.example.com":{"username":"ada","password":"` + p.secret("dockerconfigjson") + `","auth":"` + base64.StdEncoding.EncodeToString([]byte("ada:"+p.secret("dockerconfigjson"))) + `"}}}`
		fmt.Fprintf(&typed, "---\n%s", secretYAML(fmt.Sprintf("docker-%d", i), "type: kubernetes.io/dockerconfigjson\ndata: {.dockerconfigjson: "+base64.StdEncoding.EncodeToString([]byte(docker))+"}\n"))
		for kind, fields := range map[string]string{
			"basic-auth": "type: kubernetes.io/basic-auth\nstringData: {username: ada, password: @@}\n",
			"ssh-auth":   "type: kubernetes.io/ssh-auth\nstringData:\n  ssh-privatekey: |\n    -----BEGIN OPENSSH PRIVATE KEY-----\n    @64\n    -----END OPENSSH PRIVATE KEY-----\n",
			"tls":        "type: kubernetes.io/tls\nstringData: {tls.crt: \"\", tls.key: @@}\n",
			"fixed":      "immutable: true\nstringData: {p: @@}\n",
		} {
			fmt.Fprintf(&typed, "---\n%s", p.fill("Secret of type "+kind, secretYAML(fmt.Sprintf("%s-%d", kind, i), fields)))
		}
		fmt.Fprintf(&listed, "- apiVersion: v1\n  kind: Secret\n  metadata: {name: listed-%d}\n  stringData: {p: %s}\n", i, p.secret("List of Secrets"))
	}
	return []app{
		{name: "plain", files: map[string]string{"secrets.yaml": plain.String(), "open.yaml": configMap("open", open.declared)}},
		{name: "watched", files: map[string]string{"secrets.yaml": watched.String(), "open.yaml": configMap("seen", "x")}, spec: []string{"audit: {heal: false, alertAfter: 1s}"}},
		{name: "typed", files: map[string]string{"secrets.yaml": typed.String()}},
		{name: "listed", files: map[string]string{
			"list.yaml":  "apiVersion: v1\nkind: List\nitems:\n" + listed.String(),
			"more.yaml":  p.fill("SecretList", "apiVersion: v1\nkind: SecretList\nitems:\n- metadata: {name: in-a-list}\n  stringData: {p: @@, q: @@}\n"),
			"third.json": p.fill("Secret in JSON", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"in-json"},"stringData":{"p":"@@"},"data":{"q":"@64"}}`),
		}},
		{name: "generated", files: p.generated()},
		{name: open.application, files: map[string]string{"a.yaml": configMap("of-an-open-name", "x")}},
	}
}

// generated are Secrets that Kustomize makes.
func (p *plant) generated() map[string]string {
	var literals, envs strings.Builder
	files := map[string]string{}
	for i := range 30 {
		fmt.Fprintf(&literals, "  - key%d=%s\n", i, p.secret("secretGenerator: literals"))
		fmt.Fprintf(&envs, "KEY%d=%s\n", i, p.secret("secretGenerator: envs"))
	}
	kustomization := "resources: [patched.yaml]\nsecretGenerator:\n- name: of-literals\n  literals:\n" + literals.String() + "- name: of-envs\n  envs: [secret.env]\n- name: of-files\n  files:\n"
	for i := range 20 {
		name := fmt.Sprintf("file%d", i)
		files[name] = p.secret("secretGenerator: files")
		kustomization += "  - " + name + "\n"
	}
	kustomization += p.fill("Kustomize patch of a Secret", "patches:\n- patch: |\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: patched}\n    stringData: {p: @@}\n- target: {kind: Secret, name: patched}\n  patch: |\n    - op: add\n      path: /stringData/q\n      value: @@\n")
	files["kustomization.yaml"], files["secret.env"] = kustomization, envs.String()
	files["patched.yaml"] = secretYAML("patched", p.fill("Secret that Kustomize patches", "stringData: {a: @@}\n"))
	return files
}

// accepted are the faults that are none to the parser of YAML, which needs no
// quotes, in order.
var accepted = []string{"Secret with JSON without quotes"}

// bad are applications with a fault, and with secrets right there. Most fail to
// render or to apply; some the API server takes.
func (p *plant) bad() []app {
	var all []app
	add := func(field string, files map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			files[name] = p.fill(field, files[name])
		}
		all = append(all, app{name: fmt.Sprintf("bad-%d", len(all)), files: files, fault: field})
	}
	faults := map[string]string{
		"data that is no base64":             secretYAML("s", "data: {p: '@@!', q: '@@ @@'}\n"),
		"an unknown alias":                   secretYAML("s", "stringData: {q: @@}\ndata:\n  p: *@@\n"),
		"an unknown tag":                     secretYAML("s", "stringData: {q: @@}\ndata:\n  p: !@@ x\n"),
		"a wrong indent":                     secretYAML("s", "stringData:\n  p: @@\n p: @@\n"),
		"an open quote":                      secretYAML("s", "stringData: {r: @@, p: '@@}\n"),
		"a tab":                              secretYAML("s", "stringData:\n\tp: @@\n\tq: @@\n"),
		"a colon":                            secretYAML("s", "stringData:\n  p: @@: @@\n"),
		"a list of data":                     secretYAML("s", "stringData: [@@, @@]\n"),
		"a mapping in data":                  secretYAML("s", "stringData: {p: {@@: @@}}\n"),
		"a number in data":                   secretYAML("s", "stringData: {q: @@, p: 7}\ndata: {r: @64}\n"),
		"a key twice":                        secretYAML("s", "stringData: {p: @@, p: @@}\n"),
		"a Secret twice":                     secretYAML("s", "stringData: {p: @@}\n---\n") + secretYAML("s", "stringData: {p: @@}\n"),
		"no kind":                            "apiVersion: v1\nmetadata: {name: s}\nstringData: {p: @@, q: @@}\n",
		"no name":                            "apiVersion: v1\nkind: Secret\nmetadata: {}\nstringData: {p: @@, q: @@}\n",
		"no object":                          "@@\n",
		"a kind in small letters":            strings.Replace(secretYAML("s", "stringData: {p: @@}\ndata: {q: @64}\n"), "Secret", "secret", 1),
		"another group":                      strings.Replace(secretYAML("s", "stringData: {p: @@}\ndata: {q: @64}\n"), "v1", "core/v1", 1),
		"another version":                    strings.Replace(secretYAML("s", "stringData: {p: @@}\ndata: {q: @64}\n"), "v1", "v1beta1", 1),
		"a misspelt stringData":              secretYAML("s", "stringdata: {p: @@, q: @@}\n"),
		"a misspelt data":                    secretYAML("s", "Data: {p: @64, q: @64}\n"),
		"data one too deep":                  secretYAML("s", "spec: {data: {p: @64}, stringData: {q: @@}}\n"),
		"data below metadata":                secretYAML("s", "  stringData: {p: @@}\n  data: {q: @64}\n"),
		"a value beside data":                secretYAML("s", "password: @@\ntoken: '@@'\n"),
		"a SOPS file":                        secretYAML("s", "data: {p: 'ENC[AES256_GCM,data:@64,iv:x,tag:y,type:str]'}\nsops: {mac: 'ENC[@@]', age: [{recipient: age1x, enc: '@@'}], version: 3.9.0}\n"),
		"a SOPS file of whole lines":         "data: ENC[AES256_GCM,data:@64,type:str]\nsops: {mac: '@@', lastmodified: '2026-01-01'}\n",
		"dockerconfigjson that is no JSON":   secretYAML("s", "type: kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '{@@'}\n"),
		"a TLS Secret without its key":       secretYAML("s", "type: kubernetes.io/tls\nstringData: {tls.crt: @@}\n"),
		"a basic-auth Secret that lacks all": secretYAML("s", "type: kubernetes.io/basic-auth\nstringData: {other: @@}\n"),
		"a key that no Secret may have":      secretYAML("s", "stringData: {'a key': @@, b: @@}\n"),
		"a type that is no string":           secretYAML("s", "type: [@@]\nstringData: {p: @@}\n"),
		"a Secret that says immutable: yes":  secretYAML("s", "immutable: @@\nstringData: {p: @@}\n"),
		"a label with no label's value":      secretYAML("s", "  labels: {a: 'b c'}\nstringData: {p: @@, q: @@}\n"),
		"JSON with an open quote":            `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":"@@`,
		"JSON without quotes":                `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"p":@@,"q":@@}}`,
	}
	for _, what := range slices.Sorted(maps.Keys(faults)) {
		add("Secret with "+what, map[string]string{"a.yaml": strings.ReplaceAll(faults[what], "name: s\n", fmt.Sprintf("name: bad-%d\n", len(all)))})
	}
	secret := secretYAML("s", "stringData: {p: @@}\n")
	kustomizations := map[string][2]string{
		"a literal without a name":     {"secretGenerator:\n- name: s\n  literals: [@@, '@@']\n", ""},
		"a file that isn't there":      {"secretGenerator:\n- name: s\n  files: [p=@@]\n", ""},
		"an env file that is none":     {"secretGenerator:\n- name: s\n  envs: [a.yaml]\n", "P = @@\n=@@\n"},
		"a patch that is none":         {"resources: [a.yaml]\npatches:\n- patch: '@@'\n", secret},
		"a patch that finds nothing":   {"resources: [a.yaml]\npatches:\n- patch: |\n    apiVersion: v1\n    kind: Secret\n    metadata: {name: other}\n    stringData: {p: @@}\n", secret},
		"a test that fails":            {"resources: [a.yaml]\npatches:\n- target: {kind: Secret}\n  patch: '[{op: test, path: /stringData/p, value: @@}]'\n", secret},
		"an old patch without a kind":  {"resources: [a.yaml]\npatchesStrategicMerge:\n- |\n  stringData: {p: @@}\n", secret},
		"a replacement from nowhere":   {"resources: [a.yaml]\nreplacements:\n- source: {kind: Secret, fieldPath: stringData.p.q}\n  targets: [{select: {kind: Secret}, fieldPaths: [data.x.y]}]\n", secret},
		"a variable from nowhere":      {"resources: [a.yaml]\nvars: [{name: X, objref: {kind: Secret, name: s, apiVersion: v1}, fieldref: {fieldpath: stringData.none}}]\n", secret},
		"a Secret with an open brace":  {"resources: [a.yaml]\n", secretYAML("s", "stringData: {p: @@\n")},
		"a Secret that is none":        {"resources: [a.yaml]\n", "@@\n"},
		"a kustomization that is none": {"resources: [a.yaml]\nsecretGenerator: {name: s, literals: ['p=@@'}\n", secret},
		"an unknown field":             {"resources: [a.yaml]\nsecretGenerators:\n- name: s\n  literals: ['p=@@']\n", secret},
		"a namespace that is none":     {"resources: [a.yaml]\nnamespace: {x: @@}\n", secret},
	}
	for _, what := range slices.Sorted(maps.Keys(kustomizations)) {
		k := kustomizations[what]
		add("Kustomize: "+what, map[string]string{"kustomization.yaml": k[0], "a.yaml": k[1]})
	}
	return all
}

func configMap(name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {v: %q}\n", name, value)
}

// fleet is what people put into the fleet by mistake: none of it is a
// declaration, and none of it may be repeated.
func (p *plant) fleet() map[string]string {
	files := map[string]string{
		"secret.yaml":   secretYAML("s", "stringData: {p: @@}\ndata: {q: @64}\n"),
		"unquoted.yaml": "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: unquoted}\nspec: {url: https://git.example.com/x.git, password: @@, token: '@@'}\n",
		"open.yaml":     "apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: open}\nspec: {url: 'https://ada:@@@git.example.com/x.git}\n",
		"cluster.yaml":  "apiVersion: plumbline.dev/v1alpha1\nkind: Cluster\nmetadata: {name: keyed}\nspec: {recipient: AGE-SECRET-KEY-1@@}\n",
	}
	for i, url := range []string{
		"https://ada:@@@git.example.com/x.git", "https://@@@git.example.com/x.git", "http://@@:x-oauth-basic@git.example.com/x.git",
		"https://git.example.com/x.git?token=@@", "https://git.example.com/x.git#@@", "ssh://git:@@@git.example.com/x.git",
		"git:@@@git.example.com:x.git", "https://ada:@@%zz@git.example.com/x.git", "https://ada:@@@@git.example.com:port/x.git",
		"ext::sh -c @@", "ftp://ada:@@@git.example.com/x", "//ada:@@@git.example.com/x",
	} {
		files[fmt.Sprintf("url-%d.yaml", i)] = fmt.Sprintf("apiVersion: plumbline.dev/v1alpha1\nkind: Repository\nmetadata: {name: url-%d}\nspec: {url: %q}\n", i, url)
	}
	for name, text := range files {
		files[name] = p.fill("fleet: "+name[:strings.IndexAny(name, "-.")], text)
	}
	return files
}
