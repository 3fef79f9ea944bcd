// SPDX-License-Identifier: Apache-2.0

package floors

// module is the prefix of every package of Plumbline.
const module = "github.com/plumbline-dev/plumbline"

// support is the floor of what only tests and tools may import.
const support = 4

// floors says where each package stands. A pattern is a path below the
// module; "/..." matches what lies below as well. The first match counts.
var floors = []struct {
	pattern string
	floor   int
}{
	{"internal/bus/bustest", support}, // an embedded server for tests
	{"internal/floors", support},      // these tests
	{"test/...", support},
	{"tilt/...", support},          // what stands in for the outside in the inner loop
	{"tools/...", support},         // generators; they run, nobody imports them
	{"docs/examples/...", support}, // programs to read

	{"events/...", 0},
	{"internal/compare", 0},
	{"internal/explain", 0},
	{"internal/failpoint", 0}, // it imports nothing, and whatever may break comes by it
	{"internal/fault", 0},
	{"internal/fleet/...", 0},
	{"internal/incident", 0},
	{"internal/manifest/...", 0},
	{"internal/seal/...", 0},
	{"internal/status", 0},
	{"internal/timeline", 0},
	{"deploy/nats/...", 0},
	{"docs/playbooks", 0},

	{"internal/blob", 1},
	{"internal/bus", 1},
	{"internal/cluster", 1},
	{"internal/natsserver", 1},
	{"internal/process", 1},
	{"internal/provision", 1},
	{"internal/rewind", 1},
	{"internal/telemetry/...", 1},

	{"services/...", 2},

	{"cmd/...", 3},
}

// onlyIn says which packages alone may import an outside package directly.
// Packages of the support floor, and tests, may import all of them but
// another service.
var onlyIn = []struct {
	imports string   // the outside package and what lies below it
	in      []string // patterns, as in floors
	why     string
}{
	{
		"github.com/go-git/go-git",
		[]string{"services/watcher", "services/renderer/..."},
		"only the watcher speaks to Git; the renderer reads the packs that it sends",
	},
	{
		"sigs.k8s.io/kustomize/api",
		[]string{"services/renderer/..."},
		"only the renderer makes objects of sources, in child processes with limits",
	},
	{
		"k8s.io/client-go",
		[]string{"services/applier/...", "services/auditor/...", "internal/cluster"},
		"only those that hold a cluster's credentials speak to it, and what looks into one for a person",
	},
	{
		"filippo.io/age",
		[]string{"internal/seal", "internal/fleet"},
		"one place seals and opens; the fleet checks what a recipient looks like",
	},
	{
		"github.com/nats-io/nats-server",
		[]string{"internal/natsserver"},
		"one place embeds a server",
	},
	{
		"github.com/nats-io/nats.go",
		[]string{"internal/bus", "internal/blob", "internal/natsserver", "internal/provision", "deploy/nats"},
		"services return events; publishing, acknowledging and dedupe are the bus's",
	},
	{
		"github.com/cloudevents/sdk-go",
		[]string{"events"},
		"one codec",
	},
	{
		"github.com/go-json-experiment/json",
		[]string{"events"},
		"events are read often enough for it; everyone else uses the standard library, whose next version it is",
	},
	{
		"github.com/slack-go/slack",
		[]string{"services/notifier"},
		"only the notifier holds the Slack token",
	},
	{
		"go.opentelemetry.io/otel/sdk",
		[]string{"internal/telemetry/export"},
		"one place exports; everyone else measures and traces with what they are given",
	},
	{
		"github.com/spf13/cobra",
		[]string{"cmd/plumbline/..."},
		"services have flags and no subcommands",
	},
}

// never says what a package must not reach by any way. It keeps a service
// from holding, by some indirection, what it has no right to use.
var never = []struct {
	pattern string
	reach   []string
	why     string
}{
	{
		"events",
		[]string{"k8s.io/client-go", "k8s.io/api", "github.com/nats-io", "github.com/go-git", "sigs.k8s.io/kustomize"},
		"the contract is for every subscriber: it brings no infrastructure with it",
	},
	{
		"internal/fault",
		[]string{module, "github.com", "k8s.io"},
		"the standard library alone",
	},
	{
		"internal/manifest",
		[]string{"k8s.io/client-go", "github.com/nats-io", "github.com/go-git", "net/http"},
		"objects are compared and digested without a cluster, a bus or a repository",
	},
	{
		"internal/fleet",
		[]string{"k8s.io/client-go", "github.com/nats-io", "github.com/go-git"},
		"declarations are judged without a cluster, a bus or a repository",
	},
	{
		"internal/compare",
		[]string{"k8s.io/client-go", "github.com/nats-io", "github.com/go-git"},
		"bodies are compared without a cluster, a bus or a repository",
	},
	{
		"internal/explain",
		[]string{"k8s.io/client-go", "github.com/nats-io", "github.com/go-git"},
		"an explanation is a pure fold over events",
	},
	{
		"internal/status",
		[]string{"k8s.io", "github.com/nats-io", "github.com/go-git", "net/http"},
		"status is a pure fold over events",
	},
	{
		"internal/incident",
		[]string{"k8s.io", "github.com/nats-io", "github.com/go-git", "net/http"},
		"incidents are a pure fold over events",
	},
	{
		"internal/timeline",
		[]string{"k8s.io", "github.com/nats-io", "github.com/go-git", "net/http"},
		"a timeline is a pure fold over events",
	},
	{
		"internal/bus",
		[]string{"k8s.io/client-go", "github.com/go-git", "sigs.k8s.io/kustomize", "github.com/nats-io/nats-server"},
		"the bus knows events, not what they are about",
	},
	{
		"services/watcher",
		[]string{"k8s.io/client-go", "sigs.k8s.io/kustomize/api", "github.com/nats-io/nats-server"},
		"the watcher holds Git credentials and nothing else",
	},
	{
		"services/renderer",
		[]string{"k8s.io/client-go", "github.com/nats-io/nats-server"},
		"the renderer holds no credential but the source key",
	},
	{
		"services/applier",
		[]string{"github.com/go-git", "sigs.k8s.io/kustomize/api", "github.com/nats-io/nats-server"},
		"the applier reads bundles, never Git",
	},
	{
		"services/auditor",
		[]string{"github.com/go-git", "sigs.k8s.io/kustomize/api", "github.com/nats-io/nats-server"},
		"the auditor reads bundles, never Git",
	},
	{
		"services/notifier",
		[]string{"k8s.io", "github.com/go-git", "sigs.k8s.io", "filippo.io/age", "github.com/nats-io/nats-server"},
		"the notifier holds the Slack token and nothing else",
	},
}

// forbiddenNames say nothing of what is in them.
var forbiddenNames = []string{"util", "utils", "common", "helper", "helpers", "types", "shared", "misc", "base"}
