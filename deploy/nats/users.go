// SPDX-License-Identifier: Apache-2.0

package natsconfig

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Account holds the streams. Provisioner is the one user in it.
const (
	Account     = "PLUMBLINE"
	Provisioner = "provisioner"
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
//
// Each user but the provisioner has an account of its own, which imports from
// the one with the streams what the user may publish. Permissions alone would
// not do: the server answers on whatever subject a request names for the
// answer, and within one account that answer is stored, or obeyed, as if the
// server itself had said it. An answer in the user's own account reaches what
// the user may publish anyway.
func UsersConf(clusters []string, key func(user string) (string, error)) ([]byte, error) {
	users, err := Users(clusters)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString("# Written by Plumbline. Public keys, permissions and what each account imports.\n")
	for _, u := range users {
		public, err := key(u.Name)
		if err != nil {
			return nil, fmt.Errorf("key of %s: %w", u.Name, err)
		}
		fmt.Fprintf(&b, "\n# %s: %s\n", u.Name, u.Description)
		if u.Name == Provisioner {
			fmt.Fprintf(&b, "%s {\n  jetstream: enabled\n%s", Account, exports)
		} else {
			fmt.Fprintf(&b, "%q {\n", u.Name)
			writeImports(&b, u.Permissions)
		}
		fmt.Fprintf(&b, "  users: [{\n    nkey: %s\n    permissions: {\n", public)
		writeAllowance(&b, "publish", u.Permissions.Publish)
		writeAllowance(&b, "subscribe", u.Permissions.Subscribe)
		b.WriteString("    }\n  }]\n}\n")
	}
	return []byte(b.String()), nil
}

// exports are what the users' accounts import from. No two match one subject:
// a pull and a read of many are answered by more than one message, everything
// else by one, after which the server forgets the question.
const exports = `  exports: [
    {service: "plumbline.>"}
    {service: "$JS.ACK.>"}
    {service: "$JS.API.INFO"}
    {service: "$JS.API.STREAM.INFO.*"}
    {service: "$JS.API.CONSUMER.INFO.>"}
    {service: "$JS.API.CONSUMER.MSG.NEXT.>", response_type: stream}
    {service: "$JS.API.DIRECT.GET.*", response_type: stream}
    {service: "$JS.API.DIRECT.GET.*.>"}
    {stream: "v1.>"}
  ]
`

// root is the first token of every subject of the log. What is stored is told
// to subscribers without it, and their imports put it back: a message that came
// by an import of one account goes through no other's.
const root = "plumbline"

func writeImports(b *strings.Builder, p Permissions) {
	// Without the import of INFO the server imports the whole of its own API.
	// No user may ask for it.
	fmt.Fprintf(b, "  imports: [\n    {service: {account: %s, subject: \"$JS.API.INFO\"}}\n", Account)
	for _, subject := range p.Publish.Allow {
		fmt.Fprintf(b, "    {service: {account: %s, subject: %q}}\n", Account, subject)
	}
	for _, subject := range p.Subscribe.Allow {
		if told, ok := strings.CutPrefix(subject, root+"."); ok {
			fmt.Fprintf(b, "    {stream: {account: %s, subject: %q}, prefix: %q}\n", Account, told, root)
		}
	}
	b.WriteString("  ]\n")
}

func writeAllowance(b *strings.Builder, verb string, a Allowance) {
	fmt.Fprintf(b, "      %s: {\n        allow: [\n", verb)
	for _, subject := range a.Allow {
		fmt.Fprintf(b, "          %q\n", subject)
	}
	b.WriteString("        ]\n      }\n")
}
