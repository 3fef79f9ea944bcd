// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/otlpserver"
	"github.com/plumbline-dev/plumbline/test/rig"
	"github.com/plumbline-dev/plumbline/test/slackserver"
)

// plumbline runs the command line as a person would, and shows what it prints.
// It must exit with one of codes.
func (s *story) plumbline(ctx context.Context, codes []int, args ...string) (string, error) {
	s.tell.say("$ plumbline %s", strings.Join(args, " "))
	out, code, err := s.rig.Ask(ctx, append(args, s.cluster(args[0])...)...)
	if err != nil {
		return "", err
	}
	s.tell.say("%s", out)
	if slices.Contains(codes, code) {
		return out, nil
	}
	return "", fmt.Errorf("plumbline %s exited with %d", args[0], code)
}

// cluster are the flags of the commands that look into the cluster.
func (s *story) cluster(command string) []string {
	if command == "why" || command == "diff" {
		return []string{"--kubeconfig", s.rig.Cluster.Kubeconfig()}
	}
	return nil
}

// waterfall shows a commit's way, from its events and at the receiver of
// spans.
func (s *story) waterfall(ctx context.Context, commit, trace string) error {
	out, err := s.plumbline(ctx, []int{0}, "trace", short(commit))
	if err != nil {
		return err
	}
	if !strings.Contains(out, trace) {
		return fmt.Errorf("it doesn't name the trace %s", trace)
	}
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	services := map[string]bool{}
	err = s.out.traces.Wait(ctx, func() bool {
		for _, span := range s.out.traces.Of(trace) {
			services[span.Service] = true
		}
		return len(services) >= 3 && !slices.ContainsFunc(s.out.traces.Orphans(), func(o otlpserver.Span) bool { return o.Trace == trace })
	})
	if err != nil {
		return fmt.Errorf("the trace %s never came whole to the OTLP receiver: %d spans: %w", trace, len(s.out.traces.Of(trace)), err)
	}
	s.tell.proved(time.Since(from), "the OTLP receiver has that trace: %d spans of %d services, no orphan", len(s.out.traces.Of(trace)), len(services))
	return nil
}

// lastingEdit edits by hand while the applier is down, so that there is time
// to ask what is wrong, and for the alert.
func (s *story) lastingEdit(ctx context.Context) error {
	if err := s.rig.Stop("applier"); err != nil {
		return err
	}
	changes, err := s.rig.Kube.Watch(ctx, rig.Deployments, "shop", "web")
	if err != nil {
		return err
	}
	if err := s.rig.Kube.Edit(ctx, rig.Deployments, "shop", "web", `{"spec":{"replicas":7}}`, "kubectl-edit"); err != nil {
		return err
	}
	if _, err := s.wait(ctx, "divergence.detected", web); err != nil {
		return err
	}
	out, err := s.plumbline(ctx, []int{0}, "why", "deploy/web", "-n", "shop", ".spec.replicas")
	if err != nil {
		return err
	}
	if !strings.Contains(out, path+"/web.yaml") || !strings.Contains(out, "kubectl-edit") {
		return errors.New("it names neither the line nor the tool")
	}
	out, err = s.plumbline(ctx, []int{1}, "diff", web)
	if err != nil {
		return err
	}
	if !strings.Contains(out, "7") {
		return errors.New("it doesn't show the edit")
	}
	persisted, err := s.wait(ctx, "divergence.persisted", web)
	if err != nil {
		return err
	}
	d := persisted.Data.(*events.DivergencePersisted)
	s.tell.proved(d.After.Std(), "divergence.persisted: an alert is due")
	if err := s.alerted(ctx, "differs from Git"); err != nil {
		return err
	}
	back := time.Now()
	if err := s.rig.Start("applier"); err != nil {
		return err
	}
	edited := false
	healed, err := s.await(ctx, changes, func(m rig.Moment) bool {
		replicas, _, _ := unstructured.NestedInt64(m.Object.Object, "spec", "replicas") //nolint:errcheck // absent is 0
		edited = edited || replicas == 7
		return edited && replicas == 2
	})
	if err != nil {
		return fmt.Errorf("it was not healed: %w", err)
	}
	if _, err := s.wait(ctx, "divergence.resolved", web); err != nil {
		return err
	}
	s.tell.proved(healed.Seen.Sub(back), "applier back → healed")
	return nil
}

// alerted waits until Slack shows an open alert.
func (s *story) alerted(ctx context.Context, about string) error {
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	err := rig.Until(ctx, func(context.Context) (bool, error) {
		for _, m := range s.out.slack.Messages() {
			if m.Thread == "" && strings.Contains(m.Text, about) && !strings.Contains(m.Text, "resolved") {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("the channel of alerts never showed that something %s; it shows\n%s", about, s.out.slack)
	}
	s.tell.proved(time.Since(from), "Slack shows it")
	return nil
}

// slack shows the channel once everything that happened is told, and over.
func (s *story) slack(ctx context.Context) error {
	from := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for what, in := range map[string]string{
		"the hand edit that lasted": "differs from Git",
		"the broken commit":         "can't be rendered",
	} {
		err := rig.Until(ctx, func(context.Context) (bool, error) { return over(s.out.slack.Threads(), in), nil })
		if err != nil {
			return fmt.Errorf("the channel of alerts never showed %s and its recovery; it shows\n%s", what, s.out.slack)
		}
	}
	s.tell.say("%s", strings.TrimRight(s.out.slack.String(), "\n"))
	s.tell.proved(time.Since(from), "a thread each, marked when it was over")
	return nil
}

// over reports whether a thread is about something and says, in a reply and
// at its beginning, that it is over.
func over(threads [][]slackserver.Message, about string) bool {
	for _, thread := range threads {
		last := thread[len(thread)-1]
		if strings.Contains(thread[0].Text, about) && len(thread) > 1 && len(thread[0].Updates) > 0 && strings.Contains(last.Text, "resolved") {
			return true
		}
	}
	return false
}
