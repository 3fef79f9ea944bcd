// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/plumbline-dev/plumbline/test/kubelab"
)

// cell is one thing to do with one resource in one place.
type cell struct{ group, version, resource, kind, namespace, verb string }

func (c cell) String() string {
	where := c.namespace
	if where == anywhere {
		where = "the cluster"
	}
	return fmt.Sprintf("%s %s in %s", c.verb, strings.Trim(c.resource+"."+c.group, "."), where)
}

// With exactly what an overlay grants the auditor writes nothing, the applier
// touches no kind and no namespace beyond, the others do nothing at all, and
// nobody can get more. The API server says so to real requests, of which those
// that write are dry runs.
func TestPrivileges(t *testing.T) {
	for _, overlay := range overlays[:2] {
		t.Run(overlay[strings.LastIndexByte(overlay, '/')+1:], func(t *testing.T) {
			d := deployed(t, overlay)
			t.Run("every kind", func(t *testing.T) { d.everyKind(t, overlay) })
			t.Run("no way to more", d.noWayToMore)
			t.Run("tokens of others", func(t *testing.T) { d.secretsOf(t) })
			t.Run("its own namespace", func(t *testing.T) { d.ownNamespace(t, overlay) })
		})
	}
}

// everyIdentity is who asks.
var everyIdentity = []identity{applier, auditor, others, nobody}

// everyKind has each identity try every verb on every kind that the API server
// serves, subresources included, in a namespace of applications, in a foreign
// one, in Plumbline's and in the cluster's.
func (d deployment) everyKind(t *testing.T, overlay string) {
	cells := d.cells(t)
	refused := 0
	for _, who := range everyIdentity {
		n := d.client(t, who).tryAll(t, cells, func(asked cell) bool { return granted(overlay, who, asked) })
		t.Logf("%-20q %d cells, %d refused", who, len(cells), n)
		refused += n
	}
	t.Logf("%d cells, %d refused by the API server", len(everyIdentity)*len(cells), refused)
}

// deployment is a cluster with one overlay applied, and nothing else granted.
type deployment struct {
	server
	host *url.URL
	pool *x509.CertPool
}

func deployed(t *testing.T, overlay string) deployment {
	t.Helper()
	cluster := kubelab.New(t, kubelab.Options{})
	d := deployment{server: serverOf(t, cluster)}
	config, err := clientcmd.BuildConfigFromFlags("", cluster.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	d.pool = x509.NewCertPool()
	if !d.pool.AppendCertsFromPEM(config.CAData) {
		t.Fatal("the kubeconfig has no authority")
	}
	if d.host, err = url.Parse(config.Host); err != nil {
		t.Fatal(err)
	}
	objects := namespacesFirst(shipped(t, overlay))
	d.namespaces(t, append(slices.Clone(objects), placed(tenants), placed(foreign)))
	for _, o := range append(objects, parse(t, widget)...) {
		if err := d.apply(t.Context(), o); err != nil {
			t.Fatalf("%s: %v", named(o), err)
		}
	}
	d.summed(t, overlay)
	return d
}

// shipped is an overlay with what it grants in the namespace of applications.
func shipped(t *testing.T, overlay string) []*unstructured.Unstructured {
	t.Helper()
	objects := render(t, overlay)
	if overlay == overlays[1] {
		objects = append(objects, render(t, overlay+"/secrets/"+tenants)...)
	}
	return objects
}

func placed(namespace string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetNamespace(namespace)
	return o
}

// widget is a kind of somebody else's.
const widget = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions:
    - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// summed waits until what an overlay grants is in force: a ClusterRole that is
// a sum of others is summed by a controller.
func (d deployment) summed(t *testing.T, overlay string) {
	t.Helper()
	all := map[identity]client{applier: d.client(t, applier), auditor: d.client(t, auditor)}
	c := cell{"", "v1", "configmaps", "ConfigMap", tenants, "list"}
	deadline := time.Now().Add(time.Minute)
	for who, client := range all {
		for {
			refused, _, err := client.try(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if !refused {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s gets no rights", overlay, who)
			}
		}
	}
}

// cells are every verb on everything that is served, in every place.
func (d deployment) cells(t *testing.T) []cell {
	t.Helper()
	_, lists, err := d.typed.Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	var all []cell
	seen := map[schema.GroupResource]bool{}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list.APIResources {
			resource := schema.GroupResource{Group: version.Group, Resource: r.Name}
			if seen[resource] {
				continue // rights are of a group, whatever its versions
			}
			seen[resource] = true
			places := []string{anywhere}
			if r.Namespaced {
				places = []string{tenants, foreign, home, kube}
			}
			for _, place := range places {
				for _, verb := range slices.Concat(reads, writes) {
					if strings.Contains(r.Name, "/") && slices.Contains([]string{"list", "watch", "deletecollection"}, verb) {
						continue // there is one of a subresource
					}
					all = append(all, cell{version.Group, version.Version, r.Name, r.Kind, place, verb})
				}
			}
		}
	}
	if len(seen) < 100 {
		t.Fatalf("only %d resources are served", len(seen))
	}
	t.Logf("%d resources are served, with their subresources", len(seen))
	return all
}

// client asks as an identity.
type client struct {
	http  *http.Client
	host  *url.URL
	token string
}

// client returns one with a token that the API server issues for a
// ServiceAccount, as it does for a pod. Somebody unknown comes by HTTP/1.1: the
// API server ends the connection of each request of theirs that comes by HTTP/2.
func (d deployment) client(t *testing.T, who identity) client {
	t.Helper()
	c := client{host: d.host, http: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: d.pool, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: workers, ForceAttemptHTTP2: who != nobody},
		Timeout:   time.Minute,
	}}
	t.Cleanup(c.http.CloseIdleConnections)
	if who == nobody {
		return c
	}
	review, err := d.typed.CoreV1().ServiceAccounts(home).CreateToken(t.Context(), string(who), &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c.token = review.Status.Token
	return c
}

// workers is how many requests are under way at once.
const workers = 16

// tryAll tries every cell and returns how many were refused. The first is tried
// alone: it opens the connection that the others share, which would each open one.
func (c client) tryAll(t *testing.T, cells []cell, may func(cell) bool) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var refused atomic.Int64
	check := func(asked cell) {
		no, said, err := c.try(ctx, asked)
		switch want := may(asked); {
		case err != nil:
			t.Errorf("%s: %v", asked, err)
		case no && want:
			t.Errorf("may not %s: %s", asked, said)
		case !no && !want:
			t.Errorf("may %s: %s", asked, said)
		}
		if no {
			refused.Add(1)
		}
	}
	check(cells[0])
	var wait sync.WaitGroup
	next := make(chan cell)
	for range workers {
		wait.Go(func() {
			for asked := range next {
				check(asked)
			}
		})
	}
	for _, asked := range cells[1:] {
		next <- asked
	}
	close(next)
	wait.Wait()
	return int(refused.Load())
}

// try makes the request of a cell. It is refused where the API server answers
// 403 and says that this user cannot do that verb; any other answer comes from
// behind the check of rights.
func (c client) try(ctx context.Context, asked cell) (refused bool, said string, err error) {
	request, err := asked.request(ctx, c.host)
	if err != nil {
		return false, "", err
	}
	return c.ask(request, map[string]string{"apply": "patch"}[asked.verb], asked.verb)
}

// ask sends a request. Of the verbs the first that isn't empty is the API
// server's name for what is asked.
func (c client) ask(request *http.Request, verbs ...string) (refused bool, said string, err error) {
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return false, "", err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK && request.URL.Query().Has("watch") {
		return false, "watching", nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return false, "", err
	}
	var status metav1.Status
	if response.StatusCode >= 400 {
		_ = json.Unmarshal(body, &status) //nolint:errcheck // what isn't a Status is no refusal
	}
	verb := verbs[slices.IndexFunc(verbs, func(v string) bool { return v != "" })]
	refused = response.StatusCode == http.StatusForbidden && status.Reason == metav1.StatusReasonForbidden && strings.Contains(status.Message, "cannot "+verb+" ")
	return refused, response.Status + " " + status.Message, nil
}

// request is how a verb is asked for over HTTP. What writes is a dry run.
func (c cell) request(ctx context.Context, host *url.URL) (*http.Request, error) {
	resource, sub, _ := strings.Cut(c.resource, "/")
	path := "/apis/" + c.group + "/" + c.version
	if c.group == "" {
		path = "/api/" + c.version
	}
	if c.namespace != anywhere {
		path += "/namespaces/" + c.namespace
	}
	path += "/" + resource
	ofOne := sub != "" || slices.Contains([]string{"get", "update", "patch", "apply", "delete"}, c.verb)
	if ofOne {
		path += "/x"
	}
	if sub != "" {
		path += "/" + sub
	}
	query, contentType := url.Values{}, "application/json"
	method := map[string]string{"create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "apply": http.MethodPatch, "delete": http.MethodDelete, "deletecollection": http.MethodDelete}[c.verb]
	body := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":"x"}}`, schema.GroupVersion{Group: c.group, Version: c.version}.String(), c.kind)
	switch c.verb {
	case "list", "get":
		body = ""
	case "watch":
		query.Set("watch", "true")
		query.Set("timeoutSeconds", "1")
		body = ""
	case "patch":
		contentType = "application/merge-patch+json"
	case "apply":
		contentType = "application/apply-patch+yaml"
		query.Set("fieldManager", "x")
		query.Set("force", "true")
	case "delete":
		body = `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"]}`
	case "deletecollection":
		body = `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"]}`
		query.Set("labelSelector", "nothing=here")
	}
	if slices.Contains(writes, c.verb) {
		query.Set("dryRun", "All")
	}
	target := *host
	target.Path, target.RawQuery = path, query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "application/json")
	return request, nil
}
