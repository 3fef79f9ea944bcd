// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"net/http"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/proxy"
)

// kube is the API server seen through a proxy by a user of its own.
func kube(t *testing.T) (*proxy.Web, *kubernetes.Clientset) {
	t.Helper()
	user, err := kubelab.ForTest(t).UserKubeconfig("proxied", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "kubeconfig")
	p, err := proxy.NewKube(user, out)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	config, err := clientcmd.BuildConfigFromFlags("", out)
	if err != nil {
		t.Fatal(err)
	}
	config.Timeout = patience
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return p, api
}

func TestKubeKeepsTheUserAndStreamsWatches(t *testing.T) {
	_, api := kube(t)
	review, err := api.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || review.Status.UserInfo.Username != "proxied" {
		t.Fatalf("the API server sees %+v, %v", review, err)
	}
	maps := api.CoreV1().ConfigMaps("default")
	watch, err := maps.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=watched"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "watched"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case e := <-watch.ResultChan():
		if m, ok := e.Object.(*corev1.ConfigMap); !ok || m.Name != "watched" {
			t.Errorf("the watch says %+v", e)
		}
	case <-time.After(patience):
		t.Error("the watch says nothing")
	}
}

func TestKubeLosesTheAnswerOfAWrite(t *testing.T) {
	p, api := kube(t)
	maps := api.CoreV1().ConfigMaps("default")
	p.Rule(proxy.Rule{Match: func(r *http.Request) bool { return r.Method == http.MethodPost }, Lose: true, Times: 1})
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "unheard"}}
	if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); err == nil {
		t.Error("the client hears the answer")
	}
	if _, err := maps.Create(t.Context(), m, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("the second time: %v, want that the first took effect", err)
	}
}

func TestKubeAnswersInTheServersPlace(t *testing.T) {
	p, api := kube(t)
	p.Rule(proxy.Rule{Status: http.StatusServiceUnavailable})
	if _, err := api.CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("the client hears %v", err)
	}
}
