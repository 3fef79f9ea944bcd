// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// call is one call of one of Tilt's functions, its arguments by name.
type call struct {
	function string
	args     map[string]starlark.Value
}

func (c call) text(arg string) string {
	s, _ := starlark.AsString(c.args[arg])
	return s
}

func (c call) list(arg string) []string {
	var items []string
	if s, ok := starlark.AsString(c.args[arg]); ok {
		return []string{s}
	}
	if l, ok := c.args[arg].(starlark.Iterable); ok {
		for item := range starlark.Elements(l) {
			if s, ok := starlark.AsString(item); ok {
				items = append(items, s)
			} else {
				items = append(items, item.String())
			}
		}
	}
	return items
}

// signatures are the parameters of the functions of Tilt that are used, as
// its API reference has them (docs.tilt.dev/api.html). Any other name is not
// defined, which fails the evaluation, and so does any other parameter.
var signatures = map[string]string{
	"allow_k8s_contexts": "contexts",
	"docker_build": "ref context build_args? dockerfile? dockerfile_contents? live_update? match_in_env_vars? ignore? only? entrypoint? target? ssh? " +
		"network? secret? extra_tag? container_args? cache_from? pull? platform? extra_hosts?",
	"k8s_resource": "workload? new_name? port_forwards? extra_pod_selectors? trigger_mode? resource_deps? objects? auto_init? pod_readiness? links? labels? discovery_strategy?",
	"k8s_yaml":     "yaml allow_duplicates?",
	"kustomize":    "pathToDir kustomize_bin? flags?",
	"local":        "command quiet? command_bat? echo_off? env? dir? stdin?",
	"local_resource": "name cmd? deps? trigger_mode? resource_deps? ignore? auto_init? serve_cmd? cmd_bat? serve_cmd_bat? allow_parallel? links? labels? env? " +
		"serve_env? readiness_probe? dir? serve_dir?",
	"port_forward":              "local_port container_port? name? link_path? host?",
	"run":                       "cmd trigger? echo_off?",
	"sync":                      "local_path remote_path",
	"config.define_string_list": "name args? usage?",
	"config.parse":              "",
}

// tilt evaluates Tiltfiles and records what they ask for.
type tilt struct {
	t       *testing.T
	root    string // absolute
	context []string
	calls   []call
	files   []string // that were evaluated
}

// evaluate evaluates the repository's Tiltfile as Tilt would.
func evaluate(t *testing.T, contexts ...string) *tilt {
	t.Helper()
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	e := &tilt{t: t, root: abs, context: contexts}
	if _, err := e.file("Tiltfile"); err != nil {
		if trace := new(starlark.EvalError); errors.As(err, &trace) {
			t.Fatal(trace.Backtrace())
		}
		t.Fatal(err)
	}
	return e
}

func (e *tilt) file(name string) (starlark.StringDict, error) {
	e.files = append(e.files, name)
	thread := &starlark.Thread{Name: name, Load: func(_ *starlark.Thread, module string) (starlark.StringDict, error) {
		path, ok := strings.CutPrefix(module, "./")
		if !ok {
			return nil, fmt.Errorf("load %s: want a file of the repository, as ./name", module)
		}
		return e.file(path)
	}}
	// Tilt's own options: internal/tiltfile/starkit.
	options := &syntax.FileOptions{Set: true, GlobalReassign: true, Recursion: true, TopLevelControl: true}
	return starlark.ExecFileOptions(options, thread, filepath.Join(e.root, name), nil, e.builtins())
}

func (e *tilt) builtins() starlark.StringDict {
	all, members := starlark.StringDict{}, map[string]starlark.StringDict{"config": {"main_dir": starlark.String(e.root)}}
	for name, signature := range signatures {
		into, short := all, name
		if module, member, ok := strings.Cut(name, "."); ok {
			into, short = members[module], member
		}
		into[short] = starlark.NewBuiltin(name, func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			return e.record(b.Name(), strings.Fields(signature), args, kwargs)
		})
	}
	for module, m := range members {
		all[module] = starlarkstruct.FromStringDict(starlark.String(module), m)
	}
	return all
}

func (e *tilt) record(name string, parameters []string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	values := make([]starlark.Value, len(parameters))
	pairs := make([]any, 0, 2*len(parameters))
	for i, p := range parameters {
		pairs = append(pairs, p, &values[i])
	}
	if err := starlark.UnpackArgs(name, args, kwargs, pairs...); err != nil {
		return nil, err
	}
	c := call{name, map[string]starlark.Value{}}
	for i, p := range parameters {
		if values[i] != nil {
			c.args[strings.TrimSuffix(p, "?")] = values[i]
		}
	}
	e.calls = append(e.calls, c)
	if name == "config.parse" {
		settings := starlark.NewDict(1)
		if len(e.context) > 0 {
			var list []starlark.Value
			for _, c := range e.context {
				list = append(list, starlark.String(c))
			}
			return settings, settings.SetKey(starlark.String("context"), starlark.NewList(list))
		}
		return settings, nil
	}
	return value{c}, nil
}

// value is what a recorded function returns: something to hand to another.
type value struct{ call }

func (v value) String() string        { return fmt.Sprintf("%s%v", v.function, v.args) }
func (v value) Type() string          { return v.function }
func (v value) Freeze()               {}
func (v value) Truth() starlark.Bool  { return true }
func (v value) Hash() (uint32, error) { return starlark.String(v.String()).Hash() }

// of are the calls of a function, in order.
func (e *tilt) of(function string) []call {
	return slices.DeleteFunc(slices.Clone(e.calls), func(c call) bool { return c.function != function })
}

// relative is a path of a call, relative to the repository.
func (e *tilt) relative(path string) string {
	if rel, ok := strings.CutPrefix(path, e.root+"/"); ok {
		return rel
	}
	if filepath.IsAbs(path) && path != e.root {
		e.t.Errorf("%s is outside of the repository", path)
	}
	return strings.TrimPrefix(path, "./")
}

// built is where the Tiltfile's own commands write.
const built = "tilt/.bin/"

// Every file that the Tiltfile names is there, or is one that it has built.
func TestTiltfileNamesFilesThatAreThere(t *testing.T) {
	e := evaluate(t)
	outputs := map[string]bool{}
	for _, c := range e.of("local_resource") {
		_, rest, _ := strings.Cut(c.text("cmd"), " -o ")
		output, _, _ := strings.Cut(rest, " ")
		if !strings.HasPrefix(output, built) {
			t.Errorf("%s writes %q: want a file in %s", c.text("name"), output, built)
		}
		outputs[output], outputs[filepath.Dir(output)] = true, true
	}
	named := slices.Clone(e.files)
	for _, c := range e.calls {
		switch c.function {
		case "local_resource":
			named = append(named, c.list("deps")...)
		case "docker_build":
			named = append(named, c.text("context"), c.text("dockerfile"))
			for _, only := range c.list("only") {
				named = append(named, filepath.Join(c.text("context"), only))
			}
		case "sync":
			named = append(named, c.text("local_path"))
		case "run":
			named = append(named, c.list("trigger")...)
		case "kustomize":
			named = append(named, filepath.Join(c.text("pathToDir"), "kustomization.yaml"))
		}
	}
	for i, path := range named {
		named[i] = e.relative(path)
	}
	slices.Sort(named)
	for _, path := range slices.Compact(named) {
		if outputs[path] {
			t.Logf("built: %s", path)
			continue
		}
		if _, err := os.Stat(filepath.Join(root, path)); err != nil {
			t.Error(err)
			continue
		}
		t.Logf("named: %s", path)
	}
}

// Each image of the kustomization is built, each workload is a resource of its
// own, and each port that is forwarded is one of its pod.
func TestTiltfileFitsItsKustomization(t *testing.T) {
	e := evaluate(t)
	paths := e.of("kustomize")
	if len(paths) != 1 || paths[0].text("pathToDir") != "tilt/kubernetes" {
		t.Fatalf("it renders %v", paths)
	}
	pods := workloads(t, render(t, "tilt/kubernetes"))
	images := map[string]bool{}
	for _, c := range e.of("docker_build") {
		images[c.text("ref")] = true
	}
	for name, w := range pods {
		image, _, _ := strings.Cut(w.pod.Spec.Containers[0].Image, ":")
		if strings.HasPrefix(image, "plumbline/") && !images[image] {
			t.Errorf("nothing builds the image of %s, %s", name, image)
		}
		delete(images, image)
	}
	if len(images) > 0 {
		t.Errorf("built for no pod: %v", slices.Sorted(maps.Keys(images)))
	}
	resources := map[string]bool{}
	for _, c := range e.of("local_resource") {
		resources[c.text("name")] = true
	}
	ports := map[string]string{}
	for _, c := range e.of("k8s_resource") {
		name := c.text("workload")
		w, ok := pods[name]
		if !ok {
			t.Errorf("the resource %s is no workload of the kustomization", name)
			continue
		}
		resources[name] = true
		if len(c.list("labels")) == 0 {
			t.Errorf("%s belongs to no group", name)
		}
		forwards, _ := c.args["port_forwards"].(starlark.Iterable)
		for v := range starlark.Elements(forwards) {
			f, _ := v.(value)
			local, container := f.args["local_port"].String(), f.args["container_port"].String()
			if !slices.ContainsFunc(containerPorts(w), func(p string) bool { return p == container }) {
				t.Errorf("%s forwards %s, which its pod doesn't have: %v", name, container, containerPorts(w))
			}
			if other, taken := ports[local]; taken {
				t.Errorf("%s and %s both take the port %s", name, other, local)
			}
			ports[local] = name
		}
	}
	for name := range pods {
		if !resources[name] {
			t.Errorf("%s is no resource of the Tiltfile", name)
		}
	}
	for _, c := range e.of("k8s_resource") {
		for _, dep := range c.list("resource_deps") {
			if !resources[dep] {
				t.Errorf("%s waits for %s, which is none", c.text("workload"), dep)
			}
		}
	}
}

func containerPorts(w workload) []string {
	var ports []string
	for _, p := range w.pod.Spec.Containers[0].Ports {
		ports = append(ports, fmt.Sprint(p.ContainerPort))
	}
	return ports
}

// What a saved file changes is built again: each package of a program, and each
// file that it embeds, lies below what its compile step watches.
func TestTiltfileWatchesAllThatAProgramIsMadeOf(t *testing.T) {
	e := evaluate(t)
	for _, c := range e.of("local_resource") {
		pkg := c.text("cmd")[strings.LastIndex(c.text("cmd"), " ")+1:]
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if and .Module .Module.Main}}{{.Dir}}{{end}}", pkg)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("go list %s: %v", pkg, err)
			continue
		}
		for dir := range strings.Lines(string(out)) {
			dir = e.relative(strings.TrimSpace(dir))
			if !slices.ContainsFunc(c.list("deps"), func(dep string) bool { return dir == e.relative(dep) || strings.HasPrefix(dir, e.relative(dep)+"/") }) {
				t.Errorf("%s doesn't watch %s", c.text("name"), dir)
			}
		}
	}
}

// The live updates put the binary where the image's first process looks for it,
// and tell that process.
func TestTiltfileRestartsWhatItReplaces(t *testing.T) {
	e := evaluate(t)
	for _, c := range e.of("docker_build") {
		var binary, told bool
		steps, _ := c.args["live_update"].(starlark.Iterable)
		for v := range starlark.Elements(steps) {
			step, _ := v.(value)
			switch step.function {
			case "sync":
				from := e.relative(step.text("local_path"))
				binary = binary || strings.HasPrefix(from, built) && step.text("remote_path") == "/plumbline"
				if told {
					t.Errorf("%s: a sync after a run", c.text("ref"))
				}
			case "run":
				told = told || step.text("cmd") == "kill -HUP 1"
			}
		}
		if !binary || !told {
			t.Errorf("%s: synced %v, told %v", c.text("ref"), binary, told)
		}
		text, err := os.ReadFile(filepath.Join(root, e.relative(c.text("dockerfile"))))
		if err != nil {
			t.Fatal(err)
		}
		if c.args["entrypoint"] != nil || !strings.Contains(string(text), `ENTRYPOINT ["/plumbline/run.sh"]`) {
			t.Errorf("%s: its first process isn't run.sh", c.text("ref"))
		}
	}
}

// Only a context that is named is allowed beside those that Tilt knows as local.
func TestTiltfileAllowsNoFurtherClusterByItself(t *testing.T) {
	for _, named := range [][]string{nil, {"mine"}} {
		allowed := evaluate(t, named...).of("allow_k8s_contexts")
		if len(allowed) != 1 || !slices.Equal(allowed[0].list("contexts"), named) {
			t.Errorf("with %v it allows %v", named, allowed)
		}
	}
}
