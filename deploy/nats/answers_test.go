// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

// rights is what a user may publish to and subscribe to, and what not. The
// table is written by hand: it says what is meant, the files what is granted.
type rights struct {
	publish, noPublish     []string
	subscribe, noSubscribe []string
}

// nobody's are denied to every user: what would let one harm, read or stand in
// for another, or change what the provisioner made.
var nobodys = []string{
	"$JS.API.ACCOUNT.PURGE.PLUMBLINE", "$JS.API.STREAM.DELETE.EVENTS", "$JS.API.STREAM.DELETE.BLOBS",
	"$JS.API.STREAM.PURGE.EVENTS", "$JS.API.STREAM.PURGE.ATTEMPTS",
	"$JS.API.STREAM.MSG.DELETE.EVENTS", "$JS.API.STREAM.MSG.DELETE.BLOBS",
	"$JS.API.STREAM.SNAPSHOT.EVENTS", "$JS.API.STREAM.RESTORE.EVENTS", "$JS.API.STREAM.LEADER.STEPDOWN.EVENTS",
	"$JS.API.CONSUMER.DELETE.BLOBS.mine", "$JS.API.CONSUMER.PAUSE.EVENTS.renderer", "$JS.API.CONSUMER.UNPIN.EVENTS.renderer",
	"$JS.API.CONSUMER.RESET.EVENTS.renderer", "$JS.API.CONSUMER.DURABLE.CREATE.EVENTS.renderer",
	"$JS.API.META.LEADER.STEPDOWN", "$JS.API.SERVER.REMOVE",
	"$JS.API.CONSUMER.MSG.NEXT.EVENTS.nobody", "$JS.ACK.EVENTS.nobody.1.1.1.1.0", "$JS.ACK._.hash.EVENTS.nobody.1.1.1.1.0",
	"$JS.FC.EVENTS.renderer.x", "$SYS.REQ.SERVER.PING", "$SYS.REQ.ACCOUNT.PLUMBLINE.CONNZ",
	"plumbline.v2.commit.observed.local.shop", "plumbline.v1.sync.performed._.shop", "plumbline.blob.nobody.a.0", "plumbline.attempts.nobody.1",
	"_INBOX.x", "_INBOX_nobody.x", "anything",
}

// noServices are denied to every user but the provisioner.
var noServices = []string{
	"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.LIST", "$JS.API.STREAM.INFO.BLOBS", "$JS.API.STREAM.INFO.ATTEMPTS",
	"$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.CREATE.mine", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.UPDATE.BLOBS",
	"$JS.API.STREAM.PURGE.BLOBS", "$JS.API.STREAM.MSG.GET.EVENTS", "$JS.API.STREAM.MSG.GET.BLOBS",
	"$JS.API.CONSUMER.CREATE.EVENTS", "$JS.API.CONSUMER.CREATE.EVENTS.renderer", "$JS.API.CONSUMER.CREATE.EVENTS.mine.plumbline.v1.>",
	"$JS.API.CONSUMER.CREATE.BLOBS.mine", "$JS.API.CONSUMER.NAMES.EVENTS", "$JS.API.CONSUMER.LIST.EVENTS",
	"$JS.API.CONSUMER.DELETE.EVENTS.renderer",
	"$JS.API.CONSUMER.INFO.EVENTS.nobody", "$JS.API.DIRECT.GET.BLOBS", "$JS.API.DIRECT.GET.ATTEMPTS",
	"$JS.API.DIRECT.GET.ATTEMPTS.plumbline.attempts.provisioner.canary",
	"plumbline.attempts.provisioner.canary",
}

// bareRead reads the whole log, whatever it is asked for.
const bareRead = "$JS.API.DIRECT.GET.EVENTS"

// consumer is what a user may say to its own consumer.
func consumer(user string) []string {
	return []string{
		"$JS.API.STREAM.INFO.EVENTS",
		"$JS.API.CONSUMER.INFO.EVENTS." + user,
		"$JS.API.CONSUMER.MSG.NEXT.EVENTS." + user,
		"$JS.ACK.EVENTS." + user + ".1.1.1.1.0",
		"$JS.ACK._.hash.EVENTS." + user + ".1.1.1.1.0",
		"plumbline.attempts." + user + ".17",
		"$JS.API.DIRECT.GET.ATTEMPTS.plumbline.attempts." + user + ".17",
	}
}

// get prefixes subjects with a Direct Get on a stream.
func get(stream string, subjects ...string) []string {
	var all []string
	for _, s := range subjects {
		all = append(all, "$JS.API.DIRECT.GET."+stream+"."+s)
	}
	return all
}

func join(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

const digest = "0a1b2c"

var table = map[string]rights{
	"watcher": {
		publish: join(consumer("watcher"), []string{
			"plumbline.v1.commit.observed.local.shop", "plumbline.v1.commit.observed.eu1.shop", "plumbline.v1.commit.rejected.local.shop",
			"plumbline.v1.source.unreachable._._.shop", "plumbline.v1.source.recovered._._.shop",
			"plumbline.v1.fleet.observed.local._", "plumbline.v1.fleet.rejected._._.key",
			"plumbline.v1.message.rejected._.shop.watcher",
			"plumbline.blob.watcher.source." + digest + ".0", "plumbline.blob.watcher.fleet.local." + digest + ".0", "plumbline.blob.watcher.rejected." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.commit.observed.local.shop", "plumbline.v1.source.unreachable._._.shop", "plumbline.v1.fleet.observed.eu1._"),
			get("BLOBS", "plumbline.blob.watcher.source."+digest+".0", "plumbline.blob.watcher.fleet.local."+digest+".0")),
		noPublish: join(noServices, consumer("renderer")[1:], []string{
			bareRead,
			"plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.convergence.completed.local.shop", "plumbline.v1.divergence.resolved.local.shop.key",
			"plumbline.v1.sync.requested._.shop", "plumbline.v1.approval.given.local.shop", "plumbline.v1.message.rejected._.shop.renderer",
			"plumbline.blob.renderer.local." + digest + ".0", "plumbline.blob.applier.local." + digest + ".0", "plumbline.blob.watcher." + digest + ".0",
		}, get("BLOBS", "plumbline.blob.renderer.local."+digest+".0", "plumbline.blob.applier.local."+digest+".0"),
			get("EVENTS", "plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.convergence.failed.local.shop", "plumbline.v1.divergence.detected.local.shop.key")),
		subscribe:   []string{"_INBOX_watcher.x"},
		noSubscribe: []string{"plumbline.v1.>", "_INBOX.>", "_INBOX_renderer.>", "_INBOX_reader.>", ">", "$JS.>", "$SYS.>", "plumbline.blob.>"},
	},
	"renderer": {
		publish: join(consumer("renderer")[1:], []string{
			"plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.manifests.unchanged.eu1.shop", "plumbline.v1.render.failed.local.shop",
			"plumbline.v1.message.rejected.local.shop.renderer",
			"plumbline.blob.renderer.local." + digest + ".0", "plumbline.blob.renderer.eu1." + digest + ".12", "plumbline.blob.renderer.rejected." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.commit.observed.local.shop", "plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.render.failed.eu1.shop"),
			get("BLOBS", "plumbline.blob.watcher.source."+digest+".0", "plumbline.blob.renderer.local."+digest+".0")),
		noPublish: join(noServices, consumer("watcher")[1:], consumer("applier-local")[1:], []string{
			bareRead,
			"plumbline.v1.commit.observed.local.shop", "plumbline.v1.fleet.observed.local._", "plumbline.v1.convergence.applied.local.shop",
			"plumbline.v1.divergence.detected.local.shop.key", "plumbline.v1.approval.given.local.shop", "plumbline.v1.message.rejected.local.shop.watcher",
			"plumbline.blob.watcher.source." + digest + ".0", "plumbline.blob.applier.local." + digest + ".0",
		}, get("BLOBS", "plumbline.blob.applier.local."+digest+".0", "plumbline.blob.auditor.local."+digest+".0"),
			get("EVENTS", "plumbline.v1.convergence.applied.local.shop", "plumbline.v1.approval.given.local.shop", "plumbline.v1.divergence.detected.local.shop.key", "plumbline.v1.commit.rejected.local.shop")),
		subscribe:   []string{"_INBOX_renderer.x"},
		noSubscribe: []string{"plumbline.v1.>", "_INBOX.>", "_INBOX_watcher.>", "_INBOX_applier-local.>", ">"},
	},
	"applier-local": applier("local", "eu1"),
	"applier-eu1":   applier("eu1", "local"),
	"auditor-local": auditor("local", "eu1"),
	"auditor-eu1":   auditor("eu1", "local"),
	"notifier": {
		publish: join(consumer("notifier"), []string{
			"plumbline.v1.alert.delivered.local.shop.key", "plumbline.v1.alert.failed.local.shop.key", "plumbline.v1.message.rejected.local.shop.notifier",
			"plumbline.blob.notifier.rejected." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.divergence.persisted.local.shop.key", "plumbline.v1.divergence.resolved.eu1.shop.key",
			"plumbline.v1.convergence.failed.eu1.shop", "plumbline.v1.convergence.degraded.local.shop", "plumbline.v1.convergence.held.local.shop",
			"plumbline.v1.convergence.applied.local.shop", "plumbline.v1.convergence.completed.local.shop", "plumbline.v1.render.failed.local.shop",
			"plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.manifests.unchanged.local.shop", "plumbline.v1.commit.observed.local.shop",
			"plumbline.v1.commit.rejected.local.shop", "plumbline.v1.application.withdrawn.local.shop", "plumbline.v1.approval.given.local.shop",
			"plumbline.v1.source.unreachable._._.shop", "plumbline.v1.source.recovered._._.shop", "plumbline.v1.fleet.rejected._._.key",
			"plumbline.v1.fleet.observed.local._", "plumbline.v1.alert.delivered.local.shop.key", "plumbline.v1.alert.failed._._.key",
			"plumbline.v1.sync.requested._.shop"),
			get("BLOBS", "plumbline.blob.watcher.fleet.local."+digest+".0", "plumbline.blob.watcher.fleet.eu1."+digest+".0")),
		noPublish: join(noServices, consumer("auditor-local")[1:], []string{
			bareRead, "plumbline.v1.divergence.detected.local.shop.key", "plumbline.v1.divergence.resolved.local.shop.key",
			"plumbline.v1.convergence.completed.local.shop", "plumbline.v1.commit.observed.local.shop", "plumbline.v1.approval.given.local.shop", "plumbline.v1.sync.requested._.shop",
			"plumbline.blob.renderer.local." + digest + ".0", "plumbline.v1.message.rejected.local.shop.auditor",
		}, get("EVENTS", "plumbline.v1.divergence.detected.local.shop.key", "plumbline.v1.convergence.superseded.local.shop",
			"plumbline.v1.convergence.rolledback.local.shop", "plumbline.v1.audit.limited.local.shop", "plumbline.v1.message.rejected.local.shop.renderer"),
			get("BLOBS", "plumbline.blob.renderer.local."+digest+".0", "plumbline.blob.auditor.local."+digest+".0", "plumbline.blob.applier.local."+digest+".0",
				"plumbline.blob.watcher.source."+digest+".0")),
		subscribe:   []string{"_INBOX_notifier.x"},
		noSubscribe: []string{"plumbline.v1.>", "_INBOX.>", "_INBOX_auditor-local.>", ">"},
	},
	"operator": {
		publish: join(readAll(), []string{"plumbline.v1.sync.requested._.shop", "plumbline.v1.sync.requested._._", "plumbline.v1.approval.given.local.shop"}),
		noPublish: join(noServices, consumer("renderer")[1:], []string{
			"plumbline.v1.commit.observed.local.shop", "plumbline.v1.manifests.rendered.local.shop", "plumbline.v1.convergence.held.local.shop",
			"plumbline.v1.divergence.resolved.local.shop.key", "plumbline.v1.message.rejected._._.operator", "plumbline.blob.renderer.local." + digest + ".0",
		}, get("BLOBS", "plumbline.blob.watcher.source."+digest+".0")),
		subscribe:   []string{"plumbline.v1.>", "plumbline.v1.convergence.*.*.*", "_INBOX_operator.x"},
		noSubscribe: []string{"plumbline.blob.>", "plumbline.attempts.>", "_INBOX.>", "_INBOX_reader.>", "$JS.>", "$SYS.>", ">"},
	},
	"reader": {
		publish: readAll(),
		noPublish: join(noServices, consumer("renderer")[1:], []string{
			"plumbline.v1.sync.requested._.shop", "plumbline.v1.approval.given.local.shop", "plumbline.v1.commit.observed.local.shop",
			"plumbline.v1.convergence.completed.local.shop", "plumbline.blob.renderer.local." + digest + ".0",
		}, get("BLOBS", "plumbline.blob.watcher.source."+digest+".0")),
		subscribe:   []string{"plumbline.v1.>", "plumbline.v1.divergence.>", "_INBOX_reader.x"},
		noSubscribe: []string{"plumbline.blob.>", "plumbline.attempts.>", "_INBOX.>", "_INBOX_operator.>", "$JS.>", "$SYS.>", ">"},
	},
	"provisioner": {
		publish: []string{
			"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.INFO.EVENTS", "$JS.API.STREAM.INFO.BLOBS",
			"$JS.API.STREAM.CREATE.EVENTS", "$JS.API.STREAM.UPDATE.EVENTS", "$JS.API.STREAM.PURGE.BLOBS",
			"$JS.API.CONSUMER.INFO.EVENTS.renderer", "$JS.API.CONSUMER.CREATE.EVENTS.renderer.plumbline.v1.>",
			"$JS.API.CONSUMER.DELETE.EVENTS.renderer",
			"$JS.API.DIRECT.GET.EVENTS", "$JS.API.DIRECT.GET.BLOBS.plumbline.blob.renderer.local." + digest + ".0",
			"plumbline.attempts.provisioner.canary",
		},
		noPublish: []string{
			"plumbline.v1.commit.observed.local.shop", "plumbline.v1.approval.given.local.shop", "plumbline.v1.sync.requested._.shop",
			"plumbline.blob.renderer.local." + digest + ".0", "plumbline.blob.watcher.source." + digest + ".0", "plumbline.attempts.renderer.17",
			"$JS.API.CONSUMER.MSG.NEXT.EVENTS.renderer", "$JS.ACK.EVENTS.renderer.1.1.1.1.0", "$JS.API.CONSUMER.CREATE.BLOBS.mine",
		},
		subscribe:   []string{"_INBOX_provisioner.x"},
		noSubscribe: []string{"plumbline.v1.>", "plumbline.blob.>", "_INBOX.>", "_INBOX_renderer.>", "$SYS.>", ">"},
	},
}

// readAll is what operator and reader may do.
func readAll() []string {
	return join([]string{"$JS.API.STREAM.INFO.EVENTS", bareRead},
		get("EVENTS", "plumbline.v1.commit.observed.local.shop", "plumbline.v1.divergence.detected.eu1.shop.key"),
		get("BLOBS", "plumbline.blob.renderer.local."+digest+".0", "plumbline.blob.watcher.fleet.local."+digest+".0", "plumbline.blob.applier.eu1."+digest+".0", "plumbline.blob.watcher.rejected."+digest+".0"))
}

func applier(own, other string) rights {
	user := "applier-" + own
	return rights{
		publish: join(consumer(user), []string{
			"plumbline.v1.convergence.applied." + own + ".shop", "plumbline.v1.convergence.held." + own + ".shop",
			"plumbline.v1.application.withdrawn." + own + ".shop", "plumbline.v1.message.rejected." + own + ".shop.applier",
			"plumbline.blob.applier." + own + "." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.manifests.rendered."+own+".shop", "plumbline.v1.divergence.detected."+own+".shop.key", "plumbline.v1.fleet.observed."+own+"._", "plumbline.v1.sync.requested._.shop"),
			get("BLOBS", "plumbline.blob.renderer."+own+"."+digest+".0", "plumbline.blob.watcher.fleet."+own+"."+digest+".0", "plumbline.blob.applier."+own+"."+digest+".0")),
		noPublish: join(noServices, consumer("applier-" + other)[1:], consumer("auditor-" + own)[1:], []string{
			bareRead,
			"plumbline.v1.convergence.applied." + other + ".shop", "plumbline.v1.application.withdrawn." + other + ".shop", "plumbline.v1.message.rejected." + other + ".shop.applier",
			"plumbline.v1.message.rejected." + own + ".shop.auditor", "plumbline.v1.manifests.rendered." + own + ".shop",
			"plumbline.v1.divergence.resolved." + own + ".shop.key", "plumbline.v1.approval.given." + own + ".shop", "plumbline.v1.fleet.observed." + own + "._",
			"plumbline.v1.commit.observed." + own + ".shop", "plumbline.v1.sync.requested._.shop",
			"plumbline.blob.applier." + other + "." + digest + ".0", "plumbline.blob.renderer." + own + "." + digest + ".0", "plumbline.blob.watcher.fleet." + own + "." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.manifests.rendered."+other+".shop", "plumbline.v1.divergence.detected."+other+".shop.key", "plumbline.v1.>", "plumbline.v1.*.*.*.*"),
			get("BLOBS", "plumbline.blob.renderer."+other+"."+digest+".0", "plumbline.blob.watcher.source."+digest+".0", "plumbline.blob.watcher.fleet."+other+"."+digest+".0", "plumbline.blob.auditor."+own+"."+digest+".0", "plumbline.blob.>")),
		subscribe:   []string{"_INBOX_" + user + ".x"},
		noSubscribe: []string{"plumbline.v1.>", "_INBOX.>", "_INBOX_applier-" + other + ".>", "_INBOX_auditor-" + own + ".>", ">"},
	}
}

func auditor(own, other string) rights {
	user := "auditor-" + own
	return rights{
		publish: join(consumer(user), []string{
			"plumbline.v1.divergence.detected." + own + ".shop.key", "plumbline.v1.divergence.persisted." + own + ".shop.key", "plumbline.v1.divergence.resolved." + own + ".shop.key",
			"plumbline.v1.audit.limited." + own + ".shop",
			"plumbline.v1.message.rejected." + own + ".shop.auditor", "plumbline.blob.auditor." + own + "." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.manifests.rendered."+own+".shop", "plumbline.v1.convergence.applied."+own+".shop", "plumbline.v1.divergence.detected."+own+".shop.key"),
			get("BLOBS", "plumbline.blob.renderer."+own+"."+digest+".0", "plumbline.blob.applier."+own+"."+digest+".0", "plumbline.blob.watcher.fleet."+own+"."+digest+".0")),
		noPublish: join(noServices, consumer("auditor-" + other)[1:], consumer("applier-" + own)[1:], []string{
			bareRead,
			"plumbline.v1.divergence.detected." + other + ".shop.key", "plumbline.v1.audit.limited." + other + ".shop",
			"plumbline.v1.convergence.completed." + own + ".shop", "plumbline.v1.manifests.rendered." + own + ".shop",
			"plumbline.v1.approval.given." + own + ".shop", "plumbline.v1.application.withdrawn." + own + ".shop", "plumbline.v1.alert.delivered." + own + ".shop.key",
			"plumbline.blob.auditor." + other + "." + digest + ".0", "plumbline.blob.renderer." + own + "." + digest + ".0", "plumbline.blob.applier." + own + "." + digest + ".0",
		}, get("EVENTS", "plumbline.v1.manifests.rendered."+other+".shop"),
			get("BLOBS", "plumbline.blob.renderer."+other+"."+digest+".0", "plumbline.blob.watcher.source."+digest+".0")),
		subscribe:   []string{"_INBOX_" + user + ".x"},
		noSubscribe: []string{"plumbline.v1.>", "_INBOX.>", "_INBOX_auditor-" + other + ".>", "_INBOX_applier-" + own + ".>", ">"},
	}
}

func TestPermissions(t *testing.T) {
	clusters := []string{"local", "eu1"}
	s := bustest.Start(t, clusters...)
	users, err := natsconfig.Users(clusters)
	if err != nil {
		t.Fatal(err)
	}
	if len(users) != len(table) {
		t.Errorf("%d users, %d in the table", len(users), len(table))
	}
	for _, u := range users {
		want, ok := table[u.Name]
		if !ok {
			t.Errorf("user %s is not in the table", u.Name)
			continue
		}
		t.Run(u.Name, func(t *testing.T) {
			p := newProbe(t, s.Dial(t, u.Name))
			for _, subject := range want.publish {
				if p.refuses(t, "publish", subject) {
					t.Errorf("may not publish to %s", subject)
				}
			}
			for _, subject := range join(want.noPublish, nobodys) {
				if !p.refuses(t, "publish", subject) {
					t.Errorf("may publish to %s", subject)
				}
			}
			for _, subject := range want.subscribe {
				if p.refuses(t, "subscribe", subject) {
					t.Errorf("may not subscribe to %s", subject)
				}
			}
			for _, subject := range join(want.noSubscribe, []string{"_INBOX_nobody.>"}) {
				if !p.refuses(t, "subscribe", subject) {
					t.Errorf("may subscribe to %s", subject)
				}
			}
		})
	}
}

// probe asks the server itself: it reads refusals from the server's errors,
// which come in order. After each question comes one that is refused for sure;
// what was not refused before that was allowed.
type probe struct {
	nc     *nats.Conn
	errors chan string
}

func newProbe(t *testing.T, nc *nats.Conn) probe {
	t.Helper()
	p := probe{nc, make(chan string, 100)}
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.errors <- err.Error() })
	return p
}

const sentinel = "refused.for.sure"

func (p probe) refuses(t *testing.T, verb, subject string) bool {
	t.Helper()
	var err error
	if verb == "publish" {
		err = p.nc.Publish(subject, nil)
	} else {
		var sub *nats.Subscription
		if sub, err = p.nc.SubscribeSync(subject); err == nil {
			defer sub.Unsubscribe() //nolint:errcheck // a refused one is no more
		}
	}
	if err != nil {
		t.Fatalf("%s %s: %v", verb, subject, err)
	}
	if err := p.nc.Publish(sentinel, nil); err != nil {
		t.Fatal(err)
	}
	refused := false
	for {
		select {
		case text := <-p.errors:
			if !strings.Contains(strings.ToLower(text), "permissions violation") {
				t.Fatalf("the server says %s", text)
			}
			if strings.Contains(text, `"`+sentinel+`"`) {
				return refused
			}
			refused = refused || strings.Contains(text, `"`+subject+`"`)
		case <-time.After(bustest.Timeout):
			t.Fatalf("the server says nothing about %s", sentinel)
		}
	}
}

// The server answers on whatever subject a request names for the answer, and
// asks nobody whether the one who asked may publish there. An answer without a
// body is a request to delete a stream; a stored blob, or an old event, is an
// event like any other.
func TestAnswersGoNoFurtherThanTheirUserMay(t *testing.T) {
	s := bustest.Start(t)
	const commit, approval = "plumbline.v1.commit.observed.local.shop", "plumbline.v1.approval.given.local.shop"
	const forged = "plumbline.blob.renderer.local.forged.0"
	store := func(user, subject string) {
		t.Helper()
		if _, err := s.Dial(t, user).Request(subject, []byte("{}"), bustest.Timeout); err != nil {
			t.Fatal(err)
		}
	}
	store("renderer", forged)
	store("watcher", commit)
	for _, c := range []struct{ user, read string }{
		{"renderer", "BLOBS." + forged},
		{"renderer", "EVENTS." + commit},
		{"reader", "BLOBS." + forged},
		{"reader", "EVENTS." + commit},
		{"reader", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
		{"auditor-local", "EVENTS." + commit},
		{"applier-local", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
		{"notifier", "EVENTS." + commit},
		{"operator", "EVENTS.plumbline.v1.commit.observed.local.nobody"},
	} {
		nc := s.Dial(t, c.user)
		for _, to := range []string{commit, approval, "$JS.API.STREAM.DELETE.ATTEMPTS", "$JS.API.STREAM.PURGE.BLOBS"} {
			if c.user == "operator" && to == approval {
				continue // its own right
			}
			if err := nc.PublishRequest("$JS.API.DIRECT.GET."+c.read, to, nil); err != nil {
				t.Fatal(err)
			}
		}
		// The answer to this comes after those.
		if _, err := nc.Request("$JS.API.DIRECT.GET."+c.read, nil, bustest.Timeout); err != nil {
			t.Fatalf("%s: %v", c.user, err)
		}
	}
	store("operator", "plumbline.v1.sync.requested._._") // and this after what they were stored as
	js := s.JetStream(t)
	for name, want := range map[string]uint64{natsconfig.StreamEvents: 2, natsconfig.StreamBlobs: 1, natsconfig.StreamAttempts: 0} {
		stream, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if n := stream.CachedInfo().State.Msgs; n != want {
			t.Errorf("%s holds %d messages, want %d", name, n, want)
		}
	}
}

func TestNobodyConnectsWithoutAKey(t *testing.T) {
	s := bustest.Start(t)
	for name, options := range map[string][]nats.Option{
		"no credentials": nil,
		"password":       {nats.UserInfo("provisioner", "provisioner")},
		"token":          {nats.Token("x")},
	} {
		nc, err := nats.Connect(s.URL(), append(options, nats.MaxReconnects(0))...)
		if err == nil {
			nc.Close()
			t.Errorf("%s: let in", name)
		} else if !strings.Contains(strings.ToLower(err.Error()), "authorization") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
