// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"
)

// testTimeout bounds the start of a cluster for a test. A first build fits, but
// go test's own limit is 10 minutes: build beforehand, with the command install.
const testTimeout = 20 * time.Minute

// shared is the cluster that the tests of one package share.
var shared struct {
	sync.Mutex
	inMain  bool
	cluster *Cluster
	err     error // of the start, which is tried once
	lent    []*Cluster
}

// free are the clusters that [Lend] may lend; nil stands for one that was not
// started yet.
var free = func() chan *Cluster {
	const most = 3 // what a small machine has room for
	c := make(chan *Cluster, most)
	for range most {
		c <- nil
	}
	return c
}()

// Main runs a package's tests with a cluster for them to share, see [ForTest],
// and exits. It is for TestMain.
func Main(m *testing.M) {
	shared.Lock()
	shared.inMain = true
	shared.Unlock()

	code := m.Run()

	shared.Lock()
	defer shared.Unlock()
	clusters := shared.lent
	if shared.cluster != nil {
		clusters = append(clusters, shared.cluster)
	}
	for _, cluster := range clusters {
		if err := errors.Join(cluster.Stop(), os.RemoveAll(cluster.Dir())); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// ForTest returns the cluster that the tests of this package share; the first
// call starts it, with one node and the audit log on. A test keeps to
// namespaces of its own and leaves the cluster running. The package's TestMain
// must call [Main].
func ForTest(tb testing.TB) *Cluster {
	tb.Helper()
	shared.Lock()
	defer shared.Unlock()
	if !shared.inMain {
		tb.Fatal("kubelab.ForTest needs: func TestMain(m *testing.M) { kubelab.Main(m) }")
	}
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = startTemporary(Options{Audit: true})
	}
	if shared.err != nil {
		tb.Fatal(shared.err)
	}
	return shared.cluster
}

// Lend returns a cluster for one test alone, until it ends: one of a few that
// the tests of this package take turns on, for tests that run at once and
// can't share one. The test leaves it running and clean. The package's TestMain
// must call [Main].
func Lend(tb testing.TB) *Cluster {
	tb.Helper()
	shared.Lock()
	inMain := shared.inMain
	shared.Unlock()
	if !inMain {
		tb.Fatal("kubelab.Lend needs: func TestMain(m *testing.M) { kubelab.Main(m) }")
	}
	cluster := <-free
	tb.Cleanup(func() { free <- cluster })
	if cluster != nil {
		return cluster
	}
	started, err := startTemporary(Options{Audit: true})
	if err != nil {
		tb.Fatal(err)
	}
	cluster = started
	shared.Lock()
	defer shared.Unlock()
	shared.lent = append(shared.lent, cluster)
	return cluster
}

// New starts a cluster for one test, which may do to it what it likes. It is
// stopped, and its directory removed, when the test ends. An empty opts.Dir
// stands for a temporary one.
func New(tb testing.TB, opts Options) *Cluster {
	tb.Helper()
	cluster, err := startTemporary(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := cluster.Resume(); err != nil { // a paused process can't stop
			tb.Error(err)
		}
		if err := errors.Join(cluster.Stop(), os.RemoveAll(cluster.Dir())); err != nil {
			tb.Error(err)
		}
	})
	return cluster
}

func startTemporary(opts Options) (*Cluster, error) {
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "kubelab-")
		if err != nil {
			return nil, fmt.Errorf("make a directory for kubelab: %w", err)
		}
		opts.Dir = dir
	}
	if opts.Progress == nil {
		opts.Progress = os.Stderr
	}
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	cluster, err := Start(ctx, opts)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(opts.Dir))
	}
	return cluster, nil
}
