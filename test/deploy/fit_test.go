// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/freeport"
)

// What the manifests call, mount and refer to is what the binaries and the
// keys command have.
func TestManifestsFitTheBinaries(t *testing.T) {
	f := fitting{bin: build(t)}
	f.secrets = f.keys(t, root, everyKey(t)...)
	for _, overlay := range overlays {
		t.Run(overlay, func(t *testing.T) {
			objects := render(t, overlay)
			settings := configMaps(t, objects)
			made := maps.Clone(f.secrets)
			for _, o := range objects {
				if o.GetKind() == "Secret" {
					maps.Copy(made, secretKeys(t, []*unstructured.Unstructured{o}))
				}
			}
			for name, w := range workloads(t, objects) {
				if w.GetNamespace() != "plumbline-system" {
					continue // a stand-in
				}
				f.flagsExist(t, w)
				f.filesExist(t, w, made)
				for _, from := range w.pod.Spec.Containers[0].EnvFrom {
					if settings[from.ConfigMapRef.Name] == nil {
						t.Errorf("%s takes its settings from the ConfigMap %s, which isn't there", name, from.ConfigMapRef.Name)
					}
					variablesExist(t, w, settings[from.ConfigMapRef.Name])
				}
			}
		})
	}
	t.Run("the Secrets that the Tiltfile makes are taken", func(t *testing.T) {
		calls := evaluate(t).of("local")
		if len(calls) != 1 || !slices.Equal(calls[0].list("command")[:5], []string{"go", "run", "./cmd/plumbline", "keys", "manifests"}) {
			t.Fatalf("it runs %v", calls)
		}
		s := newServer(t)
		for _, o := range namespacesFirst(append(render(t, "tilt/kubernetes"), parse(t, f.manifests(t, root))...)) {
			if o.GetKind() != "Namespace" && o.GetKind() != "Secret" {
				continue
			}
			if err := s.apply(t.Context(), o); err != nil {
				t.Errorf("%s: %v", named(o), err)
			}
			t.Logf("taken: %s", named(o))
		}
	})
	t.Run("the bus on its Secret takes a service on its own", f.busTakesAService)
}

// fitting is what the manifests are to fit.
type fitting struct {
	bin     string                     // folder
	secrets map[string]map[string]bool // the keys of each Secret that the keys command makes
}

// build builds every program as it is.
func build(t *testing.T) string {
	t.Helper()
	bin, err := binaries.Build(t.Context(), binaries.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// everyKey are the arguments that have every Secret made.
func everyKey(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"token", "git/fleet/password", "git/fleet/username", "webhooks/shop"} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--slack-token", dir + "/token", "--git-credentials", dir + "/git", "--webhook-secrets", dir + "/webhooks"}
}

// manifests is what 'plumbline keys manifests' prints.
func (f fitting) manifests(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(f.bin, "plumbline"), append([]string{"keys", "manifests", "--data", t.TempDir()}, args...)...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("keys manifests: %v", err)
	}
	return string(out)
}

func (f fitting) keys(t *testing.T, dir string, args ...string) map[string]map[string]bool {
	t.Helper()
	return secretKeys(t, parse(t, f.manifests(t, dir, args...)))
}

func secretKeys(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]bool {
	t.Helper()
	keys := map[string]map[string]bool{}
	for _, o := range objects {
		s := as[corev1.Secret](t, o)
		keys[s.Name] = map[string]bool{}
		for key, data := range s.Data {
			keys[s.Name][key] = len(data) > 0
		}
		if s.Namespace != "plumbline-system" {
			t.Errorf("%s is no Secret of plumbline-system", named(o))
		}
	}
	return keys
}

func configMaps(t *testing.T, objects []*unstructured.Unstructured) map[string]map[string]string {
	t.Helper()
	found := map[string]map[string]string{}
	for _, o := range objects {
		if o.GetKind() == "ConfigMap" {
			found[o.GetName()] = as[corev1.ConfigMap](t, o).Data
		}
	}
	return found
}

var flag = regexp.MustCompile(`--[a-z][a-z-]*`)

// flagsExist holds the arguments of a workload against its binary's help.
func (f fitting) flagsExist(t *testing.T, w workload) {
	t.Helper()
	c := w.pod.Spec.Containers[0]
	image, _, _ := strings.Cut(c.Image, ":")
	if len(c.Command) > 0 {
		t.Errorf("%s: the image knows its own entry point", w.GetName())
	}
	words := len(c.Args)
	if first := slices.IndexFunc(c.Args, func(a string) bool { return strings.HasPrefix(a, "-") }); first >= 0 {
		words = first
	}
	help := exec.CommandContext(t.Context(), filepath.Join(f.bin, path.Base(image)), append(slices.Clone(c.Args[:words]), "--help")...)
	out, err := help.Output()
	if err != nil {
		t.Errorf("%s --help: %v", image, err)
		return
	}
	known := map[string]bool{}
	for _, name := range flag.FindAllString(string(out), -1) {
		known[name] = true
	}
	for _, arg := range c.Args[words:] {
		if name, _, _ := strings.Cut(arg, "="); !known[name] {
			t.Errorf("%s: %s is no flag of %s", w.GetName(), arg, path.Base(image))
		}
	}
	if !slices.Contains(c.Args, "--health-listen=:8081") || c.LivenessProbe == nil || c.ReadinessProbe == nil {
		t.Errorf("%s isn't asked whether it works", w.GetName())
	}
}

// filesExist holds the Secrets that a workload mounts, and the files in them
// that its arguments name, against the Secrets that are made.
func (f fitting) filesExist(t *testing.T, w workload, made map[string]map[string]bool) {
	t.Helper()
	c := w.pod.Spec.Containers[0]
	for _, v := range w.pod.Spec.Volumes {
		if v.Secret == nil {
			continue
		}
		keys, ok := made[v.Secret.SecretName]
		if !ok {
			t.Errorf("%s mounts the Secret %s, which nothing makes", w.GetName(), v.Secret.SecretName)
			continue
		}
		i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		if i < 0 {
			t.Errorf("%s mounts the volume %s nowhere", w.GetName(), v.Name)
			continue
		}
		for _, arg := range c.Args {
			_, value, _ := strings.Cut(arg, "=")
			if file, in := strings.CutPrefix(value, c.VolumeMounts[i].MountPath+"/"); in && !keys[file] {
				t.Errorf("%s: %s names no key of the Secret %s: %v", w.GetName(), arg, v.Secret.SecretName, slices.Sorted(maps.Keys(keys)))
			}
		}
		if !c.VolumeMounts[i].ReadOnly {
			t.Errorf("%s can write to its Secret %s", w.GetName(), v.Secret.SecretName)
		}
	}
}

var variable = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

func variablesExist(t *testing.T, w workload, settings map[string]string) {
	t.Helper()
	for _, arg := range w.pod.Spec.Containers[0].Args {
		for _, v := range variable.FindAllStringSubmatch(arg, -1) {
			if settings[v[1]] == "" {
				t.Errorf("%s: %s isn't set for %s", w.GetName(), v[1], arg)
			}
		}
	}
}

// busTakesAService runs a server that has the public keys alone and a service
// that has its own seed alone; both tell that they are ready.
func (f fitting) busTakesAService(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	folders := map[string]string{}
	for _, o := range parse(t, f.manifests(t, root)) {
		s := as[corev1.Secret](t, o)
		folders[s.Name] = t.TempDir()
		for key, data := range s.Data {
			if err := os.WriteFile(filepath.Join(folders[s.Name], key), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(folders[s.Name], 0o500); err != nil { //nolint:gosec // a folder must be entered
			t.Fatal(err)
		}
	}
	bus, renderer := freeport.Port(t), freeport.Port(t)
	health := freeport.Port(t)
	start(ctx, t, filepath.Join(f.bin, "plumbline"), "nats", "serve", "--data", t.TempDir(), "--keys", folders["plumbline-nats"],
		"--host=0.0.0.0", "--port", bus, "--health-listen", "127.0.0.1:"+health)
	ready(t, health)
	start(ctx, t, filepath.Join(f.bin, "renderer"), "--nats-url", "nats://127.0.0.1:"+bus, "--nats-creds", filepath.Join(folders["plumbline-renderer"], "nats.nk"),
		"--source-key", filepath.Join(folders["plumbline-renderer"], "source.key"), "--health-listen", "127.0.0.1:"+renderer)
	ready(t, renderer)
}
