// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/natsserver"
)

// configured is what the server itself reads in the files.
func configured(t *testing.T) *server.Options {
	t.Helper()
	dir := t.TempDir()
	if err := natsserver.Configure(natsserver.Options{Dir: dir, Clusters: clusters}); err != nil {
		t.Fatal(err)
	}
	o, err := server.ProcessConfigFile(filepath.Join(dir, "server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// Class C13 of advisories: a bus that crashes, or lets in, before anybody has
// shown a key, by a door that nobody needs (CVE-2026-27571, -27889, -33218,
// -33219, -29785; CVE-2023-47090 for accounts without authorization). The server
// is asked how it understands the files.
func TestAdvisoryC13ServerConfigOpensNoOtherDoor(t *testing.T) {
	o := configured(t)
	for door, open := range map[string]bool{
		"websocket":                  o.Websocket.Port != 0 || o.Websocket.Host != "",
		"MQTT":                       o.MQTT.Port != 0 || o.MQTT.Host != "",
		"leafnodes":                  o.LeafNode.Port != 0 || o.LeafNode.Host != "" || len(o.LeafNode.Remotes) > 0,
		"gateways":                   o.Gateway.Port != 0 || o.Gateway.Name != "" || len(o.Gateway.Gateways) > 0,
		"routes":                     o.Cluster.Port != 0 || o.Cluster.Name != "" || len(o.Routes) > 0,
		"monitoring":                 o.HTTPPort != 0 || o.HTTPSPort != 0,
		"profiling":                  o.ProfPort != 0,
		"a user without a key":       o.NoAuthUser != "",
		"a password or a token":      o.Username != "" || o.Password != "" || o.Authorization != "" || len(o.Users) > 0,
		"users by certificate":       o.TLSMap,
		"users by somebody's word":   o.AuthCallout != nil || len(o.TrustedOperators) > 0 || len(o.TrustedKeys) > 0 || o.AccountResolver != nil,
		"every network interface":    o.Host != "127.0.0.1",
		"the server's own account":   o.SystemAccount != "SYS" || o.NoSystemAccount,
		"a payload that fills it up": o.MaxPayload != 1_000_000 && o.MaxPayload != 1<<20,
	} {
		if open {
			t.Errorf("open: %s", door)
		}
	}
}

// Every user has a key and an account of its own, and none is in an account
// that holds more: not in the one that a server has by default, $G, and not in
// the server's.
func TestAdvisoryC13NobodyIsInAnAccountOfTheServers(t *testing.T) {
	o := configured(t)
	keys, accounts := map[string]bool{}, map[string]int{}
	for _, u := range o.Nkeys {
		if u.Account == nil || u.Permissions == nil || keys[u.Nkey] {
			t.Fatalf("a user without an account, permissions or a key of its own: %+v", u)
		}
		keys[u.Nkey] = true
		accounts[u.Account.GetName()]++
	}
	if len(accounts) != len(everyone) {
		t.Errorf("%d accounts with users, want %d", len(accounts), len(everyone))
	}
	for name, users := range accounts {
		if users != 1 || strings.HasPrefix(name, "$") || name == o.SystemAccount {
			t.Errorf("account %s has %d users", name, users)
		}
	}
	if accounts[natsconfig.Account] != 1 || accounts[provisioner] != 0 {
		t.Errorf("the provisioner is not alone in %s: %v", natsconfig.Account, accounts)
	}
}
