// SPDX-License-Identifier: Apache-2.0

package kubelab_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// parentEnv makes this test binary the parent of a cluster in the directory
// that it names, see startParent.
const parentEnv = "KUBELAB_TEST_PARENT_OF"

// nodesEnv is how many nodes that cluster has, when it is not the default.
const nodesEnv = "KUBELAB_TEST_NODES"

// detachEnv, not empty, makes that cluster a detached one.
const detachEnv = "KUBELAB_TEST_DETACH"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		os.Exit(beParent(dir))
	}
	kubelab.Main(m)
}

// beParent starts a cluster, prints its server, and waits to be killed.
func beParent(dir string) int {
	nodes, err := strconv.Atoi(cmp.Or(os.Getenv(nodesEnv), "0"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cluster, err := kubelab.Start(context.Background(), kubelab.Options{Dir: dir, Nodes: nodes, Detach: os.Getenv(detachEnv) != ""})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(cluster.Server())
	<-cluster.Done()
	return 1
}

// restConfig is what a kubeconfig says, with a limit that no call should reach.
func restConfig(t *testing.T, kubeconfig string) *rest.Config {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS, config.Burst = -1, -1
	config.Timeout = 10 * time.Second
	return config
}

func client(t *testing.T, kubeconfig string) *kubernetes.Clientset {
	t.Helper()
	api, err := kubernetes.NewForConfig(restConfig(t, kubeconfig))
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// eventually calls probe until it returns nil.
func eventually(t *testing.T, within time.Duration, probe func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last := errors.New("never asked")
	for {
		err := probe(ctx)
		if err == nil {
			return
		}
		if ctx.Err() == nil { // else err only says that the time is over
			last = err
		}
		select {
		case <-ctx.Done():
			t.Fatalf("after %s: %v", within, last)
		case <-tick.C:
		}
	}
}

// refused returns nil when nothing listens at the cluster's address.
func refused(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		return errors.Join(errors.New("something still listens at "+address), conn.Close())
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return err
}
