// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/test/rig"
)

// webhookFaults are admission webhooks that stand in the way.
var webhookFaults = []Fault{
	{
		Row: "F21", Name: "webhook-denies", About: "an admission webhook denies every ConfigMap of one namespace, and that any is deleted", Alone: true, Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Shape: (*Script).settings, Inject: admission(deny, everyWrite...),
	},
	{
		Row: "F21", Name: "webhook-hangs", About: "an admission webhook doesn't answer, and its failure counts", Alone: true, Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Shape: (*Script).settings, Inject: admission(hang, everyWrite...),
	},
	{
		Row: "F21", Name: "webhook-errors", About: "an admission webhook answers 500, and its failure counts", Alone: true, Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Shape: (*Script).settings, Inject: admission(fail, everyWrite...),
	},
	{
		Row: "F22", Name: "delete-denied", About: "an admission webhook denies that any ConfigMap of one namespace is deleted, and some are withdrawn: they stay, that is told, and they go when they may", Alone: true, Weight: 2,
		Hold: Span{time.Second, 4 * time.Second}, Shape: (*Script).removals, Awaits: toldOfDenial, Inject: admission(deny, admissionregistrationv1.Delete),
	},
}

var everyWrite = []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete}

// settings has a ConfigMap change in every namespace: a webhook that nobody asks
// stands in nobody's way. The change is rung for, as the webhook soon goes again.
func (s *Script) settings() {
	s.inEach(1, func(dir *Dir, i int) string {
		o := &dir.Objects[i]
		o.Fields["data.a"] = s.next()
		return "change " + o.Name
	})
}

// removals has a ConfigMap withdrawn from every namespace, by the same token.
func (s *Script) removals() {
	s.inEach(2, func(dir *Dir, i int) string {
		name := dir.Objects[i].Name
		dir.Objects = slices.Delete(dir.Objects, i, i+1)
		return "remove " + name
	})
}

// inEach changes an application of every namespace in the first of its
// ConfigMaps, one that has so many objects at least.
func (s *Script) inEach(least int, change func(dir *Dir, i int) (about string)) {
	for _, namespace := range s.plan.Namespaces {
		app, r, ok := s.pickOf(func(a App) bool {
			dir := s.refs[a.ref()].tip.Dirs[a.Name]
			return a.Namespace == namespace && dir.first("ConfigMap") >= 0 && len(dir.Objects) >= least
		})
		if !ok {
			continue
		}
		dir := r.tip.Dirs[app.Name].edit()
		about := change(dir, dir.first("ConfigMap"))
		s.commit(r, map[string]*Dir{app.Name: dir}, about)
		s.steps[len(s.steps)-1].Ring = true
	}
}

// verdict answers what a webhook was asked.
type verdict func(w http.ResponseWriter, r *http.Request, record *Recorder)

func deny(w http.ResponseWriter, r *http.Request, record *Recorder) {
	var review admissionv1.AdmissionReview
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil || json.Unmarshal(body, &review) != nil || review.Request == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if review.Request.Operation == admissionv1.Delete && review.Request.UserInfo.Username == rig.ApplierUser {
		var was metav1.PartialObjectMetadata
		if err := json.Unmarshal(review.Request.OldObject.Raw, &was); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		o := Object{Kind: review.Request.Kind.Kind, Name: review.Request.Name}
		record.add(Record{Denied: &Denial{App: was.Labels[labelApplication], Key: o.key(review.Request.Namespace)}})
	}
	review.Response = &admissionv1.AdmissionResponse{
		UID: review.Request.UID, Result: &metav1.Status{Message: "a fault denies it", Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden},
	}
	review.Request = nil
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the API server may be gone
}

func hang(_ http.ResponseWriter, r *http.Request, _ *Recorder) {
	_, _ = io.Copy(io.Discard, r.Body) // with it unread, the end of the connection would not be seen
	<-r.Context().Done()
}

func fail(w http.ResponseWriter, _ *http.Request, _ *Recorder) {
	w.WriteHeader(http.StatusInternalServerError)
}

// toldOfDenial says that a deletion was denied in this round, and that an event
// says so.
func toldOfDenial(r *Recorder) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, told := range r.denied {
		if told {
			return true
		}
	}
	return false
}

// admission has a webhook asked for each ConfigMap to which some of that is done
// in one of the plan's namespaces.
func admission(serve verdict, of ...admissionregistrationv1.OperationType) func(context.Context, *World, *rand.Rand) (Lift, error) {
	return func(ctx context.Context, w *World, rng *rand.Rand) (Lift, error) {
		var asked atomic.Int64
		server := httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			serve(out, r, w.record)
		}))
		namespace := w.someNamespace(rng)
		name := "fault-" + namespace
		hooks := w.Kube.Typed.AdmissionregistrationV1().ValidatingWebhookConfigurations()
		end := func(ctx context.Context) error {
			err := hooks.Delete(ctx, name, metav1.DeleteOptions{})
			if asked.Load() == 0 {
				w.Missed("the webhook was not asked")
			}
			server.CloseClientConnections()
			server.Close()
			return err
		}
		failure, effects, seconds, url := admissionregistrationv1.Fail, admissionregistrationv1.SideEffectClassNone, int32(1), server.URL
		hook := admissionregistrationv1.ValidatingWebhook{
			Name: "fault.example.com", FailurePolicy: &failure, SideEffects: &effects, TimeoutSeconds: &seconds, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{
				URL: &url, CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}),
			},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: of,
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
		}
		configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name}, Webhooks: []admissionregistrationv1.ValidatingWebhook{hook},
		}
		if _, err := hooks.Create(ctx, configuration, metav1.CreateOptions{}); err != nil {
			server.Close()
			return nil, fmt.Errorf("register the webhook: %w", err)
		}
		w.Note("a webhook stands before " + namespace)
		return end, nil
	}
}
