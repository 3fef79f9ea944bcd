// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// row is a subject and who may publish to it, or listen to it.
type row struct {
	subject string
	may     []string
}

// in fills a cluster and a key into the name of a user.
func in(user, cluster, key string) string {
	return strings.NewReplacer("{cluster}", cluster, "{key}", key).Replace(user)
}

// said is an event at a place, with its publisher and those who may look it up.
type said struct {
	subject, by string
	to          []string
}

// allSaid is one subject for every event, in each cluster and in none, and for
// every service that may reject a message.
func allSaid(t *testing.T) []said {
	t.Helper()
	var all []said
	if len(told) != len(events.Types) {
		t.Errorf("%d events in the table, %d in events.Types", len(told), len(events.Types))
	}
	for i := range events.Types {
		e := &events.Types[i]
		row, ok := told[e.Name()]
		if !ok {
			t.Errorf("%s is not in the table", e.Name())
		}
		for _, cluster := range append([]string{""}, clusters...) {
			for _, key := range keysOf(e) {
				a := events.Address{Cluster: cluster, Application: "shop", Key: key}
				s := said{subject: e.Subject(a), by: in(row.by, cluster, userOf(key, cluster))}
				for _, to := range row.to {
					s.to = append(s.to, in(to, cluster, ""))
				}
				for _, c := range clusters {
					if cluster == "" || cluster == c {
						s.to = append(s.to, "applier-"+c, "auditor-"+c)
					}
				}
				all = append(all, s)
			}
		}
	}
	return all
}

func keysOf(e *events.Type) []string {
	switch {
	case e.Name() == "message.rejected":
		return []string{"watcher", "renderer", "applier", "auditor", "notifier", "operator"}
	case e.Scope == events.ScopeKey:
		return []string{"key"}
	}
	return []string{""}
}

// userOf is the user of a service that is the key of a rejected message; in no
// cluster there is no applier and no auditor, and an operator rejects nothing.
func userOf(service, cluster string) string {
	switch service {
	case "applier", "auditor":
		return service + "-" + cluster
	case "operator":
		return ""
	}
	return service
}

// publishing is every subject that is tried, with who may publish to it.
func publishing(t *testing.T) []row {
	t.Helper()
	var all []row
	get := func(stream, subject string, may []string) {
		all = append(all, row{"$JS.API.DIRECT.GET." + stream + "." + subject, append([]string{provisioner}, may...)})
	}
	for _, e := range allSaid(t) {
		all = append(all, row{e.subject, []string{e.by}})
		get("EVENTS", e.subject, append(e.to, operator, reader))
	}
	for _, prefix := range slices.Sorted(maps.Keys(bodies)) {
		subject := "plumbline.blob." + prefix + ".0a1b2c.0"
		all = append(all, row{subject, []string{bodies[prefix].by}})
		get("BLOBS", subject, bodies[prefix].to)
		get("EVENTS", subject, nil)
	}
	for _, user := range append(slices.Clone(everyone), "nobody") {
		subject := "plumbline.attempts." + user + ".17"
		may := own(user)
		get("ATTEMPTS", subject, may)
		if user == provisioner {
			may = []string{provisioner} // to see that the store works
		}
		all = append(all, row{subject, may}, row{"_INBOX_" + user + ".x", nil})
	}
	for _, subject := range wide {
		for _, stream := range []string{"EVENTS", "BLOBS", "ATTEMPTS"} {
			may := looks(subject)
			if stream != "EVENTS" {
				may = []string{provisioner}
			}
			get(stream, subject, may)
		}
	}
	for _, call := range calls(t) {
		all = append(all, asked(call)...)
	}
	for _, subject := range nobodys {
		all = append(all, row{subject, nil})
	}
	return once(all)
}

// listening is every subject that is tried, with who may listen to it: what
// anybody may publish to, and wildcards.
func listening(t *testing.T) []row {
	t.Helper()
	var all []row
	for _, r := range publishing(t) {
		all = append(all, row{r.subject, hears(r.subject)})
	}
	for _, subject := range append(slices.Clone(wide), heard...) {
		all = append(all, row{subject, hears(subject)})
	}
	for _, user := range everyone {
		for _, below := range []string{"x", "x.y", ">", "*"} {
			all = append(all, row{"_INBOX_" + user + "." + below, []string{user}})
		}
	}
	slices.Reverse(all) // the later word counts
	return once(all)
}

// once drops all but the first row of each subject.
func once(all []row) []row {
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(r row) bool {
		again := seen[r.subject]
		seen[r.subject] = true
		return again
	})
}

// asked is a call of the server's on every stream and consumer.
func asked(call string) []row {
	streams, names := []string{"EVENTS", "BLOBS", "ATTEMPTS", "mine"}, append(slices.Clone(consumers), "mine")
	switch n := strings.Count(call, "*") + strings.Count(call, ">"); {
	case call == "$JS.ACK.*.*.*.*":
		return filled(call, []string{"EVENTS", "BLOBS"}, names, "$JS.ACK._.hash.%s.%s.1.1.1.1.0")
	case call == "$JS.ACK.*.*":
		return filled(call, []string{"EVENTS", "BLOBS"}, names, "$JS.ACK.%s.%s.1.1.1.1.0")
	case call == "$JS.API.DIRECT.GET.*.>":
		return nil // by subject: told above
	case call == "$JS.API.CONSUMER.CREATE.*.>":
		rows := filled(call, streams, names, "$JS.API.CONSUMER.CREATE.%s.%s")
		return append(rows, filled(call, streams, names, "$JS.API.CONSUMER.CREATE.%s.%s.plumbline.v1.>")...)
	case strings.HasPrefix(call, "$JS.API.ACCOUNT."):
		return []row{{strings.ReplaceAll(call, "*", "PLUMBLINE"), asks(call, "", "")}}
	case n == 0:
		return []row{{call, asks(call, "", "")}}
	case n == 1:
		return filled(call, streams, []string{""}, strings.Replace(call, "*", "%s%s", 1))
	default:
		format := strings.Replace(strings.Replace(call, "*", "%s", 1), "*", "%s", 1)
		return filled(call, streams, names, strings.ReplaceAll(format, "*", "x"))
	}
}

func filled(call string, streams, names []string, format string) []row {
	var rows []row
	for _, stream := range streams {
		for _, name := range names {
			rows = append(rows, row{fmt.Sprintf(format, stream, name), asks(call, stream, name)})
		}
	}
	return rows
}

// calls are the subjects of JetStream's own, as the sources of the server that
// we run name them: one that a new version brings is tried without being named
// here.
func calls(t *testing.T) []string {
	t.Helper()
	server, err := build.Import("github.com/nats-io/nats-server/v2/server", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(server.Dir, "jetstream_api.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		literal, ok := n.(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		call := strings.ReplaceAll(text, "%s", "*")
		group := strings.HasSuffix(call, ".") || strings.HasSuffix(call, ">") && !strings.Contains(call, "*")
		for _, prefix := range []string{"$JS.API.", "$JS.ACK.", "$JS.FC.", "$JS.SNAPSHOT."} {
			if strings.HasPrefix(call, prefix) && !group {
				found[call] = true
			}
		}
		return true
	})
	delete(found, "$JS.API.DIRECT.GET")            // a prefix
	delete(found, "$JS.API.DIRECT.GET.*.*")        // a way to write $JS.API.DIRECT.GET.*.>
	delete(found, "$JS.API.CONSUMER.CREATE.*.*.*") // and $JS.API.CONSUMER.CREATE.*.>
	all := slices.Sorted(maps.Keys(found))
	if len(all) < 40 {
		t.Fatalf("only %d calls are found: %q", len(all), all)
	}
	return all
}
