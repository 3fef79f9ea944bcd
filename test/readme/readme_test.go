// SPDX-License-Identifier: Apache-2.0

package readme

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rogpeppe/go-internal/testscript"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/test/binaries"
	"github.com/plumbline-dev/plumbline/test/freeport"
	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// A reader of README has kubectl and the nats command; a machine that runs the
// tests need not. Here are the two commands of theirs that README shows.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kubectl": kubectlScale, "nats": natsSub})
}

func TestReadmeRuns(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := binaries.Build(t.Context(), binaries.Kind{})
	if err != nil {
		t.Fatal(err)
	}
	cluster := kubelab.New(t, kubelab.Options{})

	work := t.TempDir()
	script := parse(string(text)).script(map[string]string{
		"https://git.example.com/": "file://" + work + "/git/",
		"nats://127.0.0.1:4222":    "nats://127.0.0.1:" + freeport.Port(t),
		"~/":                       work + "/home/",
	})
	file := filepath.Join(work, "readme.txtar")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	shop(t, filepath.Join(work, "git", "shop.git"))
	testscript.Run(t, testscript.Params{
		Files:               []string{file},
		RequireExplicitExec: true,
		Deadline:            time.Now().Add(4 * time.Minute), // a line of README may wait for what never comes
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", filepath.Join(work, "home"))
			env.Setenv("KUBECONFIG", cluster.Kubeconfig())
			for _, who := range []string{"AUTHOR", "COMMITTER"} {
				env.Setenv("GIT_"+who+"_NAME", "Ada")
				env.Setenv("GIT_"+who+"_EMAIL", "ada@example.com")
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"reachable": reachable},
	})
}

// reachable waits until a command of a running system succeeds.
func reachable(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.NewTimer(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		if err := ts.Exec(args[0], args[1:]...); (err == nil) != neg {
			return
		}
		select {
		case <-deadline.C:
			ts.Fatalf("%q does not succeed", args)
		case <-tick.C:
		}
	}
}

// shop makes the repository that README's application is in.
func shop(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, "deploy", "web")
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "web.yaml"), []byte(deployment), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "-m", "Begin"},
	} {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "registry.example.com/web:1"}]}
`

// kubectlScale is kubectl -n NAMESPACE scale deployment NAME --replicas=N.
func kubectlScale() {
	fs := flag.NewFlagSet("kubectl", flag.ExitOnError)
	namespace := fs.String("n", "", "")
	check(fs.Parse(os.Args[1:]))
	if fs.NArg() != 4 || fs.Arg(0) != "scale" || fs.Arg(1) != "deployment" {
		check(fmt.Errorf("kubectl %q: only scale deployment is here", os.Args[1:]))
	}
	var replicas int32
	_, err := fmt.Sscanf(fs.Arg(3), "--replicas=%d", &replicas)
	check(err)
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check(err)
	config.UserAgent = "kubectl"
	client, err := kubernetes.NewForConfig(config)
	check(err)
	ctx := context.Background()
	scale, err := client.AppsV1().Deployments(*namespace).GetScale(ctx, fs.Arg(2), metav1.GetOptions{})
	check(err)
	scale.Spec.Replicas = replicas
	_, err = client.AppsV1().Deployments(*namespace).UpdateScale(ctx, fs.Arg(2), scale, metav1.UpdateOptions{})
	check(err)
}

// natsSub is nats sub, for one message: a plain NATS client that knows nothing
// of Plumbline but the subject.
func natsSub() {
	fs := flag.NewFlagSet("nats", flag.ExitOnError)
	server := fs.String("server", "", "")
	nkey := fs.String("nkey", "", "")
	inbox := fs.String("inbox-prefix", "", "")
	check(fs.Parse(os.Args[1:]))
	if fs.NArg() != 2 || fs.Arg(0) != "sub" {
		check(fmt.Errorf("nats %q: only sub is here", os.Args[1:]))
	}
	key, err := nats.NkeyOptionFromSeed(*nkey)
	check(err)
	nc, err := nats.Connect(*server, key, nats.CustomInboxPrefix(*inbox))
	check(err)
	defer nc.Close()
	sub, err := nc.SubscribeSync(fs.Arg(1))
	check(err)
	check(nc.Flush())
	check(os.WriteFile("subscribed", nil, 0o600))
	m, err := sub.NextMsg(time.Minute)
	check(err)
	fmt.Println(string(m.Data))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
