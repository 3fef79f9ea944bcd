// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"slices"
	"strings"
)

// What is meant, in the design's words, and written by hand: the files in users
// say what is granted. Whoever widens a file, or adds a user, an event or a
// call of the server, says here what for.

// Users that are no service.
const (
	operator    = "operator"    // commands, and reads every event
	reader      = "reader"      // reads every event
	provisioner = "provisioner" // keeps streams and consumers, sweeps blobs
)

var clusters = []string{"local", "eu1"}

// everyone is every user of a bus for these clusters.
var everyone = []string{
	"watcher", "renderer", "applier-local", "applier-eu1", "auditor-local", "auditor-eu1", "notifier", operator, reader, provisioner,
}

// consumers are the users that have a consumer, of their own name.
var consumers = everyone[:7]

// of is a service as the user that it is in a cluster; "{cluster}" stands for
// the cluster in question.
const (
	applier = "applier-{cluster}"
	auditor = "auditor-{cluster}"
)

// told says of an event who publishes it, and who of the services may look it
// up. Applier and auditor may look up all of their own cluster, and what is of
// none; operator, reader and provisioner everything.
var told = map[string]struct {
	by string
	to []string
}{
	"commit.observed":        {"watcher", []string{"watcher", "renderer", "notifier"}},
	"commit.rejected":        {"watcher", []string{"watcher", "notifier"}},
	"source.unreachable":     {"watcher", []string{"watcher", "notifier"}},
	"source.recovered":       {"watcher", []string{"watcher", "notifier"}},
	"fleet.observed":         {"watcher", []string{"watcher", "renderer", "notifier"}},
	"fleet.rejected":         {"watcher", []string{"watcher", "notifier"}},
	"application.withdrawn":  {applier, []string{"watcher", "notifier"}},
	"manifests.rendered":     {"renderer", []string{"watcher", "renderer", "notifier"}},
	"manifests.unchanged":    {"renderer", []string{"watcher", "renderer", "notifier"}},
	"render.failed":          {"renderer", []string{"watcher", "renderer", "notifier"}},
	"convergence.applied":    {applier, []string{"notifier"}},
	"convergence.completed":  {applier, []string{"notifier"}},
	"convergence.failed":     {applier, []string{"notifier"}},
	"convergence.degraded":   {applier, []string{"notifier"}},
	"convergence.held":       {applier, []string{"notifier"}},
	"convergence.superseded": {applier, nil},
	"convergence.rolledback": {applier, nil},
	"divergence.detected":    {auditor, nil},
	"divergence.persisted":   {auditor, []string{"notifier"}},
	"divergence.resolved":    {auditor, []string{"notifier"}},
	"audit.limited":          {auditor, nil},
	"alert.delivered":        {"notifier", []string{"notifier"}},
	"alert.failed":           {"notifier", []string{"notifier"}},
	"message.rejected":       {"{key}", nil}, // the service that can't read it, which is the key
	"sync.requested":         {operator, []string{"watcher", "renderer", "notifier"}},
	"approval.given":         {operator, []string{"notifier"}},
}

// bodies says of a blob who writes it and who reads it; the provisioner reads
// everything.
var bodies = map[string]struct {
	by string
	to []string
}{
	"watcher.source":      {"watcher", []string{"watcher", "renderer"}}, // Git: no operator, no reader
	"watcher.fleet.local": {"watcher", []string{"watcher", "renderer", "applier-local", "auditor-local", "notifier", operator, reader}},
	"watcher.fleet.eu1":   {"watcher", []string{"watcher", "renderer", "applier-eu1", "auditor-eu1", "notifier", operator, reader}},
	"watcher.rejected":    {"watcher", []string{"watcher", operator, reader}},
	"renderer.local":      {"renderer", []string{"renderer", "applier-local", "auditor-local", operator, reader}},
	"renderer.eu1":        {"renderer", []string{"renderer", "applier-eu1", "auditor-eu1", operator, reader}},
	"renderer.rejected":   {"renderer", []string{"renderer", operator, reader}},
	"applier.local":       {"applier-local", []string{"applier-local", "auditor-local", operator, reader}},
	"applier.eu1":         {"applier-eu1", []string{"applier-eu1", "auditor-eu1", operator, reader}},
	"auditor.local":       {"auditor-local", []string{"auditor-local", operator, reader}},
	"auditor.eu1":         {"auditor-eu1", []string{"auditor-eu1", operator, reader}},
	"notifier.rejected":   {"notifier", []string{"notifier", operator, reader}},
	"watcher":             {}, "watcher.secret": {}, "notifier.local": {}, "operator.local": {}, "reader.local": {}, "nobody.local": {},
}

// asks says who may put a question to JetStream, or have it do something; a
// call that isn't here is nobody's. The server's own names for its calls, with
// a word for each "*" in them.
func asks(call, stream, consumer string) []string {
	switch call {
	case "$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST",
		"$JS.API.STREAM.CREATE.*", "$JS.API.STREAM.UPDATE.*", "$JS.API.STREAM.MSG.GET.*",
		"$JS.API.CONSUMER.NAMES.*", "$JS.API.CONSUMER.LIST.*":
		return []string{provisioner}
	case "$JS.API.STREAM.INFO.*":
		if stream == "EVENTS" {
			return everyone
		}
		return []string{provisioner}
	case "$JS.API.STREAM.PURGE.*":
		if stream == "BLOBS" {
			return []string{provisioner} // what no event names; the log denies it to everybody
		}
	case "$JS.API.CONSUMER.CREATE.*.>", "$JS.API.CONSUMER.DELETE.*.*":
		if stream == "EVENTS" {
			return []string{provisioner} // it would let one service rewrite another's, and read what it may not
		}
	case "$JS.API.CONSUMER.INFO.*.*":
		if stream == "EVENTS" {
			return append(own(consumer), provisioner)
		}
	case "$JS.API.CONSUMER.MSG.NEXT.*.*", "$JS.ACK.*.*", "$JS.ACK.*.*.*.*":
		if stream == "EVENTS" {
			return own(consumer)
		}
	case "$JS.API.DIRECT.GET.*": // asked without a subject it reads everything
		if stream == "EVENTS" {
			return []string{operator, reader, provisioner}
		}
		return []string{provisioner}
	}
	return nil
}

// own is the user of a consumer.
func own(consumer string) []string {
	if slices.Contains(consumers, consumer) {
		return []string{consumer}
	}
	return nil
}

// nobodys are subjects that no user may publish to, as they stand.
var nobodys = []string{
	"$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.ACCOUNT.PLUMBLINE.CONNZ", "$SYS.REQ.ACCOUNT.PLUMBLINE.JSZ", "$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.USER.INFO",
	"$SYS.REQ.CLAIMS.UPDATE", "$SYS.ACCOUNT.PLUMBLINE.CONNECT", "$SYS.DEBUG.SUBSCRIBERS", "$SYS.JSC.STREAM.ASSIGNMENT.RESULT",
	"$JS.EVENT.ADVISORY.STREAM.DELETED.EVENTS", "$JS.EVENT.METRIC.CONSUMER.ACK.EVENTS.renderer",
	"$JS.API", "$JS.API.STREAM", "$JS.API.NO.SUCH.CALL", "$JS.hub.API.STREAM.INFO.EVENTS", "$JS.local.API.STREAM.DELETE.EVENTS", "$JSC.R.x",
	"$KV.bucket.key", "$O.bucket.C.x", "$MQTT.msgs.x", "$NRG.V.x", "$LDS.x", "$GR.x", "$G.x",
	"v1.commit.observed.local.shop", "v1.approval.given.local.shop", // as the log tells them to subscribers
	"plumbline", "plumbline.v1", "plumbline.v1.x", "plumbline.v2.commit.observed.local.shop", "plumbline.v1.sync.performed._.shop",
	"plumbline.v1.commit.observed.local", "plumbline.v1.commit.observed.local.shop.more", "plumbline.v1.alert.delivered.local.shop",
	"plumbline.blob", "plumbline.attempts", "plumbline.attempts.nobody.1", "plumbline.attempts.renderer.1.2", "plumbline.doctor",
	"_INBOX.x", "_INBOX_nobody.x", "anything", "any.thing.else",
}

// wide are subjects with wildcards, to look up or to listen to: more than any
// service may see.
var wide = []string{
	"plumbline.>", "plumbline.v1.>", "plumbline.v1.*.*.*.*", "plumbline.v1.*.*.*.*.*", "plumbline.v1.commit.>", "plumbline.v1.*.>",
	"plumbline.blob.>", "plumbline.blob.*.>", "plumbline.blob.watcher.>", "plumbline.blob.*.*.*.*", "plumbline.attempts.>", "plumbline.attempts.*.*",
}

// looks says who may look up subjects with wildcards.
func looks(subject string) []string {
	switch subject {
	case "plumbline.v1.*.*.*.*", "plumbline.v1.*.*.*.*.*":
		return []string{operator, reader, provisioner}
	}
	return []string{provisioner}
}

// heard are subjects with wildcards to listen to, beside [wide].
var heard = []string{
	">", "*", "*.>", "*.*", "$JS.>", "$JS.API.>", "$JS.ACK.>", "$JS.EVENT.>", "$JS.EVENT.ADVISORY.>", "$SYS.>", "$SYS.ACCOUNT.>", "$KV.>", "$O.>",
	"v1.>", "v1.*.*.*.*", "_INBOX.>", "_INBOX_nobody.>", "_R_.>", "_GR_.>",
}

// watched are the events that the watcher hears as they are stored: what became
// of the revisions that it says.
var watched = []string{"manifests.rendered", "manifests.unchanged", "render.failed"}

// hears says who may listen to subjects: what lies below the log's root, where
// nothing else is, wildcards included.
func hears(subject string) []string {
	name, below := strings.CutPrefix(subject, "plumbline.v1.")
	if !below {
		return nil
	}
	may := []string{operator, reader}
	if tokens := strings.Split(name, "."); len(tokens) == 4 && slices.Contains(watched, tokens[0]+"."+tokens[1]) {
		may = append(may, "watcher")
	}
	return may
}
