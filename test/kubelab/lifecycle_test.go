// SPDX-License-Identifier: Apache-2.0

package kubelab_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

func createConfigMap(t *testing.T, api kubernetes.Interface, name string) {
	t.Helper()
	_, err := api.CoreV1().ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPauseAndResume(t *testing.T) {
	cluster := kubelab.ForTest(t) // this package's tests run one at a time
	t.Cleanup(func() {
		if err := cluster.Resume(); err != nil {
			t.Error(err)
		}
	})
	config := restConfig(t, cluster.Kubeconfig())
	config.Timeout = 500 * time.Millisecond
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := cluster.Pause(); err != nil {
		t.Fatal(err)
	}
	if _, err := api.Discovery().ServerVersion(); err == nil {
		t.Error("a paused server answers")
	}
	if err := cluster.Resume(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, func(context.Context) error {
		_, err := api.Discovery().ServerVersion()
		return err
	})
}

// startByHand runs kubelab up as a person would and returns once it is ready.
func startByHand(t *testing.T, binary, dir string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command(binary, "up", "--dir", dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test failed before it ended
			_ = cmd.Wait()
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "kubelab ready kubeconfig="+filepath.Join(dir, "kubeconfig")+" server=https://127.0.0.1:") {
		t.Fatalf("ready line %q, %v; %s", line, err, &stderr)
	}
	return cmd, &stderr
}

// kubelabCommand runs a command that is expected to end by itself soon, and
// returns what it wrote.
func kubelabCommand(t *testing.T, binary string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, args...).CombinedOutput()
	return string(out), err
}

func TestInterruptStopsCleanly(t *testing.T) {
	binary, err := kubelab.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	cmd, stderr := startByHand(t, binary, t.TempDir())
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Wait(); err != nil || stderr.Len() != 0 {
		t.Errorf("%v, standard error %q", err, stderr)
	}
	t.Logf("ended after %s", time.Since(began).Round(time.Millisecond))
}

// Down sends SIGTERM, which must stop a cluster cleanly.
func TestDown(t *testing.T) {
	binary, err := kubelab.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd, stderr := startByHand(t, binary, dir)

	out, err := kubelabCommand(t, binary, "up", "--dir", dir)
	if err == nil || !strings.Contains(out, "already running") || !strings.Contains(out, "kubelab down --dir "+dir) {
		t.Errorf("a second one in the same directory: %v, %s", err, out)
	}
	for range 2 { // the second time there is nothing to stop
		if out, err := kubelabCommand(t, binary, "down", "--dir", dir); err != nil || out != "" {
			t.Errorf("down: %v, %s", err, out)
		}
	}
	if t.Failed() {
		return // it may still run
	}
	if err := cmd.Wait(); err != nil || stderr.Len() != 0 {
		t.Errorf("the process that was told to stop: %v, standard error %q", err, stderr)
	}
}

// startParent has another process start a cluster in dir, and returns the
// cluster's address and that process. Once killed it stays a zombie until the
// test calls its Wait.
func startParent(t *testing.T, dir string, env ...string) (address string, parent *exec.Cmd) {
	t.Helper()
	parent = exec.Command(os.Args[0])
	parent.Env = append(append(os.Environ(), parentEnv+"="+dir), env...)
	parent.Stderr = os.Stderr
	stdout, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { kill(t, parent) }) // the test failed before it did so itself
	var server string
	if _, err := fmt.Fscanln(stdout, &server); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(server, "https://"), parent
}

func kill(t *testing.T, parent *exec.Cmd) {
	t.Helper()
	if err := parent.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// held returns an error as long as a process holds the cluster's directory.
func held(dir string) error {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := errors.Join(syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &lock), file.Close()); err != nil {
		return err
	}
	if lock.Type != syscall.F_UNLCK {
		return fmt.Errorf("process %d holds %s", lock.Pid, dir)
	}
	return nil
}

func wantNodes(t *testing.T, dir string, count int) {
	t.Helper()
	nodes, err := client(t, filepath.Join(dir, "kubeconfig")).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(nodes.Items) != count {
		t.Errorf("%d nodes, want %d", len(nodes.Items), count)
	}
}

// A parent that nobody has reaped must count as ended. The cluster can be
// started again then, with fewer nodes.
func TestEndsWithKilledParent(t *testing.T) {
	dir := t.TempDir()
	address, parent := startParent(t, dir, nodesEnv+"=3")
	wantNodes(t, dir, 3)
	if held(dir) == nil {
		t.Error("a cluster that runs does not hold its directory")
	}
	kill(t, parent)
	began := time.Now()
	eventually(t, 30*time.Second, func(ctx context.Context) error { return refused(ctx, address) })
	eventually(t, 30*time.Second, func(context.Context) error { return held(dir) })
	t.Logf("ended %s after its parent's end", time.Since(began).Round(time.Millisecond))
	cluster := kubelab.New(t, kubelab.Options{Dir: dir, Nodes: 1})
	wantNodes(t, cluster.Dir(), 1)
	_ = parent.Wait() // it was killed
}

func TestDetachedOutlivesParent(t *testing.T) {
	binary, err := kubelab.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	address, parent := startParent(t, dir, detachEnv+"=1")
	kill(t, parent)
	_ = parent.Wait() // it was killed
	// One that is bound to its parent stops listening within a second or two.
	watch, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); watch.Err() == nil; <-tick.C {
		if refused(t.Context(), address) == nil {
			t.Fatal("it ended with its parent")
		}
	}
	if out, err := kubelabCommand(t, binary, "down", "--dir", dir); err != nil {
		t.Errorf("down: %v, %s", err, out)
	}
	if err := refused(t.Context(), address); err != nil {
		t.Error(err)
	}
}

func TestStartExplainsFailure(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := kubelab.Start(t.Context(), kubelab.Options{Dir: file})
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("a file for a directory: %v", err)
	}
	if _, err := kubelab.Start(t.Context(), kubelab.Options{}); err == nil {
		t.Error("no directory: no error")
	}
}

func TestKubeconfigNeedsACluster(t *testing.T) {
	binary, err := kubelab.Binary(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	out, err := kubelabCommand(t, binary, "kubeconfig", "--dir", t.TempDir(), "--user", "u", "--out", filepath.Join(t.TempDir(), "k"))
	if err == nil || !strings.Contains(out, "kubelab up --dir") {
		t.Errorf("%v, %s", err, out)
	}
}
