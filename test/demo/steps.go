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
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

const web = "shop-web"

func (s *story) start(ctx context.Context) error {
	from := time.Now()
	var without []string
	if s.without != "" {
		without = append(without, s.without)
		s.tell.say("without the %s, as asked", s.without)
	}
	if err := s.rig.Up(ctx, without...); err != nil {
		return err
	}
	for _, name := range slices.Concat([]string{"nats"}, rig.Services, []string{rig.Notifier}) {
		if p := s.rig.Process(name); p.Running() {
			s.tell.say("%-9s pid %d", name, p.PID())
		}
	}
	s.tell.proved(time.Since(from), "processes that share nothing but the bus at %s", s.rig.URL)
	return nil
}

func (s *story) first(ctx context.Context) error {
	shop, err := s.rig.Repo("shop")
	if err != nil {
		return err
	}
	s.shop = shop
	files, err := applicationFiles()
	if err != nil {
		return err
	}
	if _, err := s.push(ctx, shop, gitserver.Commit{Files: files, Message: "Open the shop"}); err != nil {
		return err
	}
	declaration := gitserver.Commit{Files: map[string]string{"shop.yaml": fleet(shop.URL)}, Message: "Declare the shop"}
	if _, err := s.push(ctx, s.rig.Fleet, declaration); err != nil {
		return err
	}
	observed, err := s.wait(ctx, "commit.observed", web)
	if err != nil {
		return err
	}
	rendered, err := s.wait(ctx, "manifests.rendered", web)
	if err != nil {
		return err
	}
	applied, err := s.wait(ctx, "convergence.applied", web)
	if err != nil {
		return err
	}
	completed, err := s.wait(ctx, "convergence.completed", web)
	if err != nil {
		return err
	}
	s.tell.say("commit.observed        %s", round(observed.At.Sub(s.pushed)))
	s.tell.say("manifests.rendered     %s", round(rendered.At.Sub(s.pushed)))
	s.tell.say("convergence.applied    %s", round(applied.At.Sub(s.pushed)))
	s.tell.say("convergence.completed  %s   after git push", round(completed.At.Sub(s.pushed)))
	deployment, err := s.rig.Kube.Get(ctx, rig.Deployments, "shop", "web")
	if err != nil || deployment == nil {
		return errors.Join(errors.New("the Deployment isn't there"), err)
	}
	available, _, _ := unstructured.NestedInt64(deployment.Object, "status", "availableReplicas") //nolint:errcheck // absent is 0, which is reported
	menu, err := s.rig.Kube.Get(ctx, menus, "shop", "today")
	if err != nil || menu == nil || available != 2 {
		return errors.Join(fmt.Errorf("want 2 available replicas and a Menu; got %d, %v", available, menu != nil), err)
	}
	s.tell.proved(completed.At.Sub(s.pushed), "%d objects, a CRD and its first custom resource among them, healthy; trace %s", objects, traceID(completed.Traceparent))
	return nil
}

func (s *story) commit(ctx context.Context) error {
	changes, err := s.rig.Kube.Watch(ctx, rig.ConfigMaps, "shop", "web")
	if err != nil {
		return err
	}
	config := strings.Replace(s.file("config.yaml"), "Welcome", "Good evening", 1)
	commit, err := s.push(ctx, s.shop, gitserver.Commit{Files: map[string]string{path + "/config.yaml": config}, Message: "Greet in the evening"})
	if err != nil {
		return err
	}
	seen, err := s.await(ctx, changes, func(m rig.Moment) bool { return field(m.Object, "data", "greeting") == "Good evening" })
	if err != nil {
		return fmt.Errorf("the cluster never showed the commit: %w", err)
	}
	completed, err := s.waitFor(ctx, "convergence.completed of "+short(commit), converged(commit))
	if err != nil {
		return err
	}
	c := completed.Data.(*events.ConvergenceCompleted).Counts
	s.tell.say("%s: %d changed, %d untouched", short(commit), c.Configured+c.Created, c.Unchanged)
	if c.Configured != 1 {
		return fmt.Errorf("one object changed in Git, %d were written", c.Configured)
	}
	s.tell.proved(seen.Seen.Sub(s.pushed), "git push → the cluster's own watch shows it")
	return s.waterfall(ctx, commit, traceID(completed.Traceparent))
}

func (s *story) handEdit(ctx context.Context) error {
	changes, err := s.rig.Kube.Watch(ctx, rig.Deployments, "shop", "web")
	if err != nil {
		return err
	}
	from := time.Now()
	if err := s.rig.Kube.Edit(ctx, rig.Deployments, "shop", "web", `{"spec":{"replicas":5}}`, "kubectl-edit"); err != nil {
		return err
	}
	detected, err := s.wait(ctx, "divergence.detected", web)
	if err != nil {
		return err
	}
	d := detected.Data.(*events.DivergenceDetected)
	s.tell.say("%s", d.Message)
	for _, f := range d.Fields {
		s.tell.say("what   %s  %s  Git says %s, live is %s", d.Object, f.Path, f.Desired, f.Live)
	}
	if d.Writer == nil || d.Writer.Manager != "kubectl-edit" {
		return fmt.Errorf("it was kubectl-edit; the event says %+v", d.Writer)
	}
	s.tell.say("who    %s (%s) at %s", d.Writer.Manager, d.Writer.Operation, d.Writer.Time.Format(time.TimeOnly))
	s.tell.say("line   %s:%d, %s by %s", d.File, d.Line, short(d.Declared.Commit), d.Declared.Author)
	if d.File != path+"/web.yaml" || d.Line != 1 {
		return fmt.Errorf("it is declared in %s/web.yaml:1", path)
	}
	edited := false
	healed, err := s.await(ctx, changes, func(m rig.Moment) bool {
		replicas, _, _ := unstructured.NestedInt64(m.Object.Object, "spec", "replicas") //nolint:errcheck // absent is 0
		edited = edited || replicas == 5
		return edited && replicas == 2
	})
	if err != nil {
		return fmt.Errorf("it was not healed: %w", err)
	}
	resolved, err := s.wait(ctx, "divergence.resolved", web)
	if err != nil {
		return err
	}
	s.tell.proved(detected.At.Sub(from), "edit → divergence.detected")
	s.tell.proved(healed.Seen.Sub(from), "edit → healed")
	s.tell.proved(resolved.At.Sub(from), "edit → divergence.resolved (%s)", resolved.Data.(*events.DivergenceResolved).How)
	return nil
}

func (s *story) broken(ctx context.Context) error {
	before, err := s.versions(ctx)
	if err != nil {
		return err
	}
	config := strings.Replace(s.file("config.yaml"), "data:", "data: [", 1)
	commit, err := s.push(ctx, s.shop, gitserver.Commit{Files: map[string]string{path + "/config.yaml": config}, Message: "Break it"})
	if err != nil {
		return err
	}
	failed, err := s.wait(ctx, "render.failed", web)
	if err != nil {
		return err
	}
	f := failed.Data.(*events.RenderFailed)
	s.tell.say("%s: %s at %s:%d", short(commit), f.Reason, f.File, f.Line)
	s.tell.say("%s", f.Message)
	if f.Revision.Commit != commit || f.File != path+"/config.yaml" || f.Line == 0 {
		return fmt.Errorf("it is %s/config.yaml of %s that is broken", path, short(commit))
	}
	after, err := s.versions(ctx)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the cluster was touched: %s became %s", before, after)
	}
	s.tell.proved(failed.At.Sub(s.pushed), "a clear failure, and no object of the cluster has a new resourceVersion")
	return s.alerted(ctx, "can't be rendered")
}

func (s *story) revert(ctx context.Context) error {
	head, err := s.shop.Head()
	if err != nil {
		return err
	}
	if _, err := s.shop.Git("revert", "--no-edit", head); err != nil {
		return err
	}
	commit, err := s.shop.Head()
	if err != nil {
		return err
	}
	if err := s.send(ctx, s.shop); err != nil {
		return err
	}
	completed, err := s.waitFor(ctx, "convergence.completed of "+short(commit), converged(commit))
	if err != nil {
		return err
	}
	s.tell.proved(completed.At.Sub(s.pushed), "%s converged", short(commit))
	return nil
}

func (s *story) remove(ctx context.Context) error {
	changes, err := s.rig.Kube.Watch(ctx, rig.ConfigMaps, "shop", "banner")
	if err != nil {
		return err
	}
	commit, err := s.push(ctx, s.shop, gitserver.Commit{Delete: []string{path + "/banner.yaml"}, Message: "Take the banner down"})
	if err != nil {
		return err
	}
	gone, err := s.await(ctx, changes, func(m rig.Moment) bool { return m.Gone })
	if err != nil {
		return fmt.Errorf("ConfigMap banner is still there: %w", err)
	}
	completed, err := s.waitFor(ctx, "convergence.completed of "+short(commit), converged(commit))
	if err != nil {
		return err
	}
	if c := completed.Data.(*events.ConvergenceCompleted).Counts; c.Pruned != 1 {
		return fmt.Errorf("one object left Git, %d were pruned", c.Pruned)
	}
	s.tell.proved(gone.Seen.Sub(s.pushed), "git push → pruned, and it alone")
	return nil
}
