// SPDX-License-Identifier: Apache-2.0

package natsconfig

import (
	"encoding/json"
	"fmt"
	"strings"
)

// User is a user of the bus and what it may do.
type User struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Permissions Permissions `json:"permissions"`
}

// Permissions are subjects that a user may publish and subscribe to. What is
// not allowed is denied.
type Permissions struct {
	Publish   Allowance `json:"publish"`
	Subscribe Allowance `json:"subscribe"`
}

// Allowance is a list of allowed subjects, wildcards included.
type Allowance struct {
	Allow []string `json:"allow"`
}

// Users returns every user: one per service, for the services of a cluster
// one per cluster, and provisioner, operator and reader.
func Users(clusters []string) ([]User, error) {
	configs, err := load("users", clusters)
	if err != nil {
		return nil, err
	}
	users := make([]User, 0, len(configs))
	for _, c := range configs {
		var u User
		if err := json.Unmarshal(c.JSON, &u); err != nil {
			return nil, fmt.Errorf("user %s: %w", c.Name, err)
		}
		users = append(users, u)
	}
	return users, nil
}

// UserName is the user, and the consumer, of a service; cluster is empty for
// a service that serves all of them.
func UserName(service, cluster string) string {
	if cluster == "" {
		return service
	}
	return service + "-" + cluster
}

// InboxPrefix is the prefix of a user's private inboxes: no other user may
// subscribe there.
func InboxPrefix(user string) string { return "_INBOX_" + user }

// UsersConf is the users.conf that server.conf includes. key returns the
// public nkey of a user; the server never sees another part of it.
func UsersConf(clusters []string, key func(user string) (string, error)) ([]byte, error) {
	users, err := Users(clusters)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("# Written by Plumbline. Public keys and permissions only.\n\nusers: [\n")
	for _, u := range users {
		public, err := key(u.Name)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", u.Name, err)
		}
		fmt.Fprintf(&b, "  # %s: %s\n  {\n    nkey: %s\n    permissions: {\n", u.Name, u.Description, public)
		writeAllowance(&b, "publish", u.Permissions.Publish)
		writeAllowance(&b, "subscribe", u.Permissions.Subscribe)
		b.WriteString("    }\n  }\n")
	}
	b.WriteString("]\n")
	return []byte(b.String()), nil
}

func writeAllowance(b *strings.Builder, verb string, a Allowance) {
	fmt.Fprintf(b, "      %s: {\n        allow: [\n", verb)
	for _, subject := range a.Allow {
		fmt.Fprintf(b, "          %q\n", subject)
	}
	b.WriteString("        ]\n      }\n")
}
