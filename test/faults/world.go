// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// services are all processes of Plumbline's but the bus.
var services = append(slices.Clone(rig.Services), rig.Notifier)

// Setting is what a world is made of.
type Setting struct {
	Dir     string           // for everything that it keeps; made where missing
	Bin     string           // folder with the binaries of make build
	Cluster *kubelab.Cluster // used by one world at a time; namespaces are the world's own
	Has     []Need           // what this world has that not every one has
}

// World is one running Plumbline with everything around it, and what the
// workload has made of Git so far. A fault may start and stop its parts, one
// fault at a time.
type World struct {
	*rig.Rig
	Slack *slackserver.Server
	OTLP  *otlpserver.Server
	Plan  Plan

	record *Recorder
	repos  map[string]*repository

	// victim is the application that the fault is held to; nil: to none.
	victim *App

	// missed says that the fault of this round has met nothing.
	missed bool

	fleet    *repository
	fleetTip plumbing.Hash
}

// NewWorld raises everything for a plan and declares its fleet. Close it.
func NewWorld(ctx context.Context, setting Setting, plan Plan, record *Recorder) (*World, error) {
	w := &World{Plan: plan, record: record, repos: map[string]*repository{}}
	if err := w.raise(ctx, setting); err != nil {
		return nil, errors.Join(fmt.Errorf("raise a world: %w", err), w.Close())
	}
	return w, nil
}

func (w *World) raise(ctx context.Context, setting Setting) error {
	var err error
	if w.Slack, err = slackserver.Listen(slackserver.Options{}); err != nil {
		return err
	}
	if w.OTLP, err = otlpserver.Start(); err != nil {
		return err
	}
	w.Rig, err = rig.New(ctx, rig.Options{
		Dir: setting.Dir, Bin: setting.Bin, Cluster: setting.Cluster,
		FleetInterval: 2 * time.Second, Resync: resync, Env: append(w.OTLP.Env("grpc"), quickPings...),
		Slack: w.Slack.URL(), SlackToken: slackserver.Token,
		Links: slices.Contains(setting.Has, NeedProxy), Seed: w.Plan.Seed, StoreSize: storeSize(setting.Has),
	})
	if err != nil {
		return err
	}
	if slices.Contains(setting.Has, NeedClock) {
		w.OwnClock()
	}
	if err := w.install(ctx); err != nil {
		return err
	}
	for _, name := range w.Plan.Repositories {
		if err := w.openRepository(name); err != nil {
			return err
		}
	}
	if err := w.record.watchCluster(ctx, w.Kube, w.Plan.Namespaces); err != nil {
		return err
	}
	if err := w.Up(ctx); err != nil {
		return err
	}
	return w.record.followBus(ctx, w.URL, w.Creds("reader"))
}

// storeSize is that of the disk of the bus, where it has one of its own: far
// more than a run stores.
func storeSize(has []Need) int64 {
	if slices.Contains(has, NeedQuota) {
		return 256 << 20
	}
	return 0
}

// quickPings have a connection to the API server on which nothing comes be
// tried after 5 s, for 3 s; client-go waits 30 s and 15 s else, with nothing to
// see meanwhile.
var quickPings = []string{"HTTP2_READ_IDLE_TIMEOUT_SECONDS=5", "HTTP2_PING_TIMEOUT_SECONDS=3"}

// resync is how often applier and auditor re-derive their level.
const resync = 5 * time.Second

// install makes what the plan's objects need of the cluster: namespaces, and
// the kind of its custom resources.
func (w *World) install(ctx context.Context) error {
	for _, name := range w.Plan.Namespaces {
		_, err := w.Kube.Typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("make namespace %s: %w", name, err)
		}
	}
	return w.installWidgets(ctx)
}

// Close ends everything but the cluster, and takes the world's traces from
// that: its inventories, so that the next world's applier has nothing to
// withdraw, and its namespaces, for whose end it doesn't wait.
func (w *World) Close() error {
	var errs []error
	if w.Rig != nil {
		errs = append(errs, w.Rig.Close())
	}
	w.record.stop()
	if w.OTLP != nil {
		errs = append(errs, w.OTLP.Close())
	}
	if w.Slack != nil {
		errs = append(errs, w.Slack.Close())
	}
	if w.Kube != nil {
		errs = append(errs, w.sweep())
	}
	return errors.Join(errs...)
}

func (w *World) sweep() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	core := w.Kube.Typed.CoreV1()
	err := core.ConfigMaps(systemNamespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelInventory})
	errs := []error{err}
	crds := w.Kube.Dynamic.Resource(kinds["CustomResourceDefinition"].resource)
	errs = append(errs, crds.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: labelApplication}))
	for _, name := range w.Plan.Namespaces {
		if err := core.Namespaces().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// someNamespace picks a namespace of the plan's: the victim's, where there is
// one.
func (w *World) someNamespace(rng *rand.Rand) string {
	if w.victim != nil {
		return w.victim.Namespace
	}
	return w.Plan.Namespaces[rng.IntN(len(w.Plan.Namespaces))]
}

// Note writes what a fault did into the history, for who reads it later.
func (w *World) Note(about string) { w.record.add(Record{Note: about}) }

// Missed says that the fault at hand has met nothing, so that its round proves
// nothing. A fault that is not sure to strike where it is injected has to know.
func (w *World) Missed(why string) {
	w.missed = true
	w.Note("the fault did not strike: " + why)
}

// Relist has the recorder look at the whole cluster anew: its past was
// replaced by another.
func (w *World) Relist() { w.record.relist() }
