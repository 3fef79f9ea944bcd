// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// intrusions are what the applier could write into Plumbline's own namespace by
// the rights that it has in every namespace, to come to the Secrets there.
var intrusions = []way{
	{what: "run a pod with the Slack token", method: "POST", path: "/api/v1/namespaces/plumbline-system/pods", body: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"more"},"spec":{
		"securityContext":{"runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}},
		"containers":[{"name":"c","image":"c","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}},"envFrom":[{"secretRef":{"name":"plumbline-slack"}}]}]}}`},
	{what: "run a Job with the Slack token", method: "POST", path: "/apis/batch/v1/namespaces/plumbline-system/jobs", body: `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"more"},"spec":{"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"c"}]}}}}`},
	{what: "change the notifier", method: "PATCH", path: "/apis/apps/v1/namespaces/plumbline-system/deployments/plumbline-notifier", body: `{"metadata":{"labels":{"more":"more"}}}`, header: map[string]string{"Content-Type": "application/merge-patch+json"}},
	{what: "let the notifier's traffic go anywhere", method: "POST", path: "/apis/networking.k8s.io/v1/namespaces/plumbline-system/networkpolicies", body: `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"more"},"spec":{"podSelector":{},"egress":[{}]}}`},
	{what: "loosen the standard of its pods", method: "PATCH", path: "/api/v1/namespaces/plumbline-system", body: `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`, header: map[string]string{"Content-Type": "application/merge-patch+json"}},
	{what: "delete the bus", method: "DELETE", path: "/apis/apps/v1/namespaces/plumbline-system/statefulsets/plumbline-nats", body: `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"],"metadata":{}}`},
}

// settings are what it could write by its right to ConfigMaps, to have another fleet
// followed, or telemetry sent elsewhere. In namespaced, which has nothing that is of
// the whole cluster, nothing stands before that.
func settings(t *testing.T, overlay string) []way {
	t.Helper()
	var all []way
	merge := map[string]string{"Content-Type": "application/merge-patch+json"}
	const configMaps = "/api/v1/namespaces/plumbline-system/configmaps"
	for _, o := range shipped(t, overlay) {
		if o.GetKind() == "ConfigMap" && o.GetNamespace() == home {
			path := configMaps + "/" + o.GetName()
			all = append(all, way{what: "change " + o.GetName(), method: "PATCH", path: path, body: `{"metadata":{},"data":{"FLEET":"https://more.example.com/fleet.git"}}`, header: merge},
				way{what: "delete " + o.GetName(), method: "DELETE", path: path, body: `{"apiVersion":"v1","kind":"DeleteOptions","dryRun":["All"],"metadata":{}}`})
		}
	}
	if len(all) == 0 {
		t.Errorf("%s has no settings", overlay)
	}
	return append(all, way{what: "make settings", method: "POST", path: configMaps, body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"plumbline-settings"}}`})
}

// ownNamespace has the applier try each of them: in neither overlay does the API
// server let it. What it does in every other namespace it may do.
func (d deployment) ownNamespace(t *testing.T, overlay string) {
	c := d.client(t, applier)
	tried := intrusions
	if overlay == overlays[1] {
		tried = slices.Concat(tried, settings(t, overlay))
	}
	for _, w := range tried {
		d.denied(t, c, w)
	}
	inventory := way{method: "POST", path: "/api/v1/namespaces/plumbline-system/configmaps", body: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"inventory.shop"}}`}
	if code, said := c.send(t, inventory); code != http.StatusCreated {
		t.Errorf("it may not keep its inventories: %d %s", code, said)
	}
	elsewhere := intrusions[3]
	elsewhere.path = strings.ReplaceAll(elsewhere.path, home, tenants)
	if code, said := c.send(t, elsewhere); code != http.StatusCreated {
		t.Errorf("it may not do so in a namespace of applications: %d %s", code, said)
	}
	t.Logf("%s: %d ways tried", overlay, len(tried))
}

// denied wants a request to be refused. A policy is in force some moments after
// it is there.
func (d deployment) denied(t *testing.T, c client, w way) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		code, said := c.send(t, w)
		if code == http.StatusForbidden && (strings.Contains(said, "cannot ") || strings.Contains(said, "plumbline-own-namespace")) {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("the applier may %s: %s", w.what, fmt.Sprint(code, " ", said))
			return
		}
	}
}
