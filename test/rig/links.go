// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/plumbline-dev/plumbline/test/proxy"
)

// Links are the proxies through which the services of a rig reach what is
// around them; without faults they only pass. The rig itself, its subscriber
// and the command line don't go through them.
type Links struct {
	Bus  map[string]*proxy.Bus // by service
	Kube map[string]*proxy.Web // of the applier and of the auditor
	Git  *proxy.Web
	// Slack is nil where there is no Slack.
	Slack *proxy.Web
}

// Mend ends every fault of every link.
func (l *Links) Mend() {
	for _, b := range l.Bus {
		b.Deliver(proxy.Delivery{})
		b.Mend()
	}
	for _, w := range l.webs() {
		w.Mend()
	}
}

func (l *Links) webs() []*proxy.Web {
	var webs []*proxy.Web
	for _, w := range l.Kube {
		webs = append(webs, w)
	}
	for _, w := range []*proxy.Web{l.Git, l.Slack} {
		if w != nil {
			webs = append(webs, w)
		}
	}
	return webs
}

func (l *Links) close() error {
	var errs []error
	for _, b := range l.Bus {
		errs = append(errs, b.Close())
	}
	for _, w := range l.webs() {
		errs = append(errs, w.Close())
	}
	return errors.Join(errs...)
}

// link puts proxies before Git, bus and Slack.
func (r *Rig) link() (err error) {
	if !r.options.Links {
		return nil
	}
	l := &Links{Bus: map[string]*proxy.Bus{}, Kube: map[string]*proxy.Web{}}
	r.Links = l
	if l.Git, err = proxy.NewWeb(r.Git.URL); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(r.ports.nats))
	for n, service := range r.services() {
		if l.Bus[service], err = proxy.NewBus(address, r.options.Seed+uint64(n)); err != nil { //nolint:gosec // a handful of services
			return fmt.Errorf("rig: %w", err)
		}
	}
	if r.options.Slack == "" {
		return nil
	}
	if l.Slack, err = proxy.NewWeb(r.options.Slack); err != nil {
		return fmt.Errorf("rig: %w", err)
	}
	return nil
}

// kubeconfig is the way of a service to the cluster, as a user.
func (r *Rig) kubeconfig(service, user string) (string, error) {
	direct, err := r.Cluster.UserKubeconfig(user)
	if err != nil || r.Links == nil {
		return direct, err
	}
	out := filepath.Join(r.Dir, service+".kubeconfig")
	if r.Links.Kube[service], err = proxy.NewKube(direct, out); err != nil {
		return "", fmt.Errorf("rig: %w", err)
	}
	return out, nil
}

// busURL is the way of a service to the bus.
func (r *Rig) busURL(service string) string {
	if r.Links == nil {
		return r.URL
	}
	return "nats://" + r.Links.Bus[service].Address()
}

// slackURL is the way of the notifier to Slack.
func (r *Rig) slackURL() (string, error) {
	if r.Links == nil {
		return r.options.Slack, nil
	}
	return r.Links.Slack.Through(r.options.Slack)
}
