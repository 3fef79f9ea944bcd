// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/component-base/version"
)

// startTimeout bounds a start, on a machine that is busy with other things.
// stopTimeout bounds each of the two halves of an orderly end.
const (
	startTimeout = 2 * time.Minute
	stopTimeout  = 5 * time.Second
)

// upOptions are the flags of kubelab up.
type upOptions struct {
	Dir       string
	Nodes     int
	Audit     bool
	Fsync     bool
	Bump      int    // by which etcd's revision is raised first
	Template  string // folder of etcd's data to begin with; empty: with nothing
	ParentPID int    // 0: outlive every other process
}

// errParentEnded is the cause of an end that came with the parent's.
var errParentEnded = errors.New("the parent process ended")

// up runs the cluster until a signal, the end of the parent, or the failure of
// a component, and returns an error only for the last. Once the cluster is
// usable it prints its one line to out.
func up(ctx context.Context, opts upOptions, out io.Writer) (err error) {
	began := time.Now()
	if opts.Nodes < 0 {
		return errors.New("--nodes must not be negative")
	}
	if strings.HasPrefix(version.Get().GitVersion, "v0.0.0") {
		return errors.New("this binary was built without the version of Kubernetes, which its components need; build it with: go run ./test/kubelab/install bin/kubelab")
	}
	abs, err := filepath.Abs(opts.Dir)
	if err != nil {
		return fmt.Errorf("resolve --dir: %w", err)
	}
	dir := layout(abs)
	if err := dir.create(); err != nil {
		return err
	}
	lock, err := dir.acquire()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the process ends with it

	logFile, err := redirectLogs(dir)
	if err != nil {
		return err
	}
	defer func() { _ = logFile.Close() }() // nothing is left to write
	restore, err := divertStderr(logFile)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil { // it is for the caller to read
			restore()
		}
	}()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(errStopped)
	go stopOnSignal(ctx, stop)
	if opts.ParentPID != 0 {
		go stopWithParent(ctx, opts.ParentPID, stop)
	}

	err = (&cluster{dir: dir, opts: opts, log: logFile, stop: stop}).run(ctx, func() error {
		port, err := dir.readPort()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out, "kubelab ready kubeconfig=%s server=%s pid=%d took=%s\n",
			dir.kubeconfig(), serverURL(port), os.Getpid(), time.Since(began).Round(time.Millisecond))
		return err
	})
	if cause := context.Cause(ctx); errors.Is(cause, errStopped) || errors.Is(cause, errParentEnded) {
		return nil
	}
	return err
}

func stopOnSignal(ctx context.Context, stop context.CancelCauseFunc) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-ctx.Done():
	case <-signals:
		stop(errStopped)
	}
	<-signals // a second one: at once
	os.Exit(1)
}

func stopWithParent(ctx context.Context, pid int, stop context.CancelCauseFunc) {
	err := waitProcessEnd(ctx, pid)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		stop(err)
	default:
		stop(errParentEnded)
	}
}

// cluster is one run of the control plane.
type cluster struct {
	dir  layout
	opts upOptions
	log  *os.File
	stop context.CancelCauseFunc
}

// run starts etcd, then the API server, then what talks to it; calls ready; and
// ends them in the opposite order once ctx ends.
func (c *cluster) run(ctx context.Context, ready func() error) error {
	listener, err := c.dir.listen(ctx)
	if err != nil {
		return err
	}
	if err := ensurePKI(c.dir); err != nil {
		return errors.Join(err, listener.Close())
	}
	if err := writeComponentKubeconfigs(c.dir); err != nil {
		return errors.Join(err, listener.Close())
	}
	if c.opts.Template != "" {
		if err := c.dir.seed(c.opts.Template); err != nil {
			return errors.Join(err, listener.Close())
		}
	}
	etcd, err := startEtcd(ctx, c.dir, c.opts.Fsync)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	defer closeEtcd(etcd)
	if err := c.prepareEtcd(ctx, etcd); err != nil {
		return errors.Join(err, listener.Close())
	}
	return c.runServer(ctx, etcd, listener, ready)
}

// prepareEtcd removes what is only right in the cluster that the data was taken
// from, bumps the revision, where that is asked for, and writes down where etcd
// is.
func (c *cluster) prepareEtcd(ctx context.Context, etcd *embed.Etcd) error {
	if err := c.dir.forgetOrigin(ctx, etcd); err != nil {
		return err
	}
	if c.opts.Bump > 0 {
		if err := bump(ctx, etcd, c.opts.Bump); err != nil {
			return err
		}
	}
	return writeFile(c.dir.run("etcd"), []byte(etcdEndpoint(etcd)))
}

// runServer runs the API server, and around it the components, which end first
// so that they don't spend their last moments on a server that is gone.
func (c *cluster) runServer(ctx context.Context, etcd *embed.Etcd, listener net.Listener, ready func() error) error {
	// The server must outlive ctx, whose end means: begin to stop.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	server, err := newAPIServer(serving, c.dir, listener, etcdEndpoint(etcd), c.opts.Audit)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	servers := &group{fail: c.stop}
	servers.start(serving, server)

	clients := &group{fail: c.stop}
	err = c.startClients(ctx, clients)
	if err == nil {
		err = ready()
	}
	if err == nil {
		<-ctx.Done()
		err = context.Cause(ctx)
	} else {
		c.stop(err)
	}
	err = errors.Join(err, clients.stopped(stopTimeout))
	stopServing()
	return errors.Join(err, servers.stopped(stopTimeout))
}

// startClients waits for the API server, starts what talks to it, and returns
// once the cluster is usable.
func (c *cluster) startClients(ctx context.Context, clients *group) error {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	api, err := c.adminClient()
	if err != nil {
		return err
	}
	if err := waitServing(starting, api); err != nil {
		return err
	}
	for _, prepare := range []func() (component, error){
		func() (component, error) { return newControllerManager(ctx, c.dir) },
		func() (component, error) { return newScheduler(ctx, c.dir) },
		func() (component, error) { return newNodes(c.dir, c.log) },
	} {
		part, err := prepare()
		if err != nil {
			return err
		}
		clients.start(ctx, part)
	}
	if err := ensureNodes(starting, api, c.opts.Nodes); err != nil {
		return err
	}
	return waitUsable(starting, api, c.opts.Nodes)
}

func (c *cluster) adminClient() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.dir.kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("load kubeconfig: %w", err)
	}
	config.QPS = -1 // no limit: it is used for the start alone
	config.WarningHandler = rest.NoWarnings{}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return api, nil
}

// closeEtcd ends etcd, for at most stopTimeout: it waits for its clients, and
// what it was told is on its way to disk already.
func closeEtcd(etcd *embed.Etcd) {
	closed := make(chan struct{})
	go func() {
		etcd.Close()
		close(closed)
	}()
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
}
