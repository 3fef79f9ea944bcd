// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// brittle is a log that ends its watcher at a publish: before it, or after it
// was stored.
type brittle struct {
	ledger
	after bool
	end   context.CancelFunc

	mu   sync.Mutex
	left int // publishes until it ends; 0: it has ended
}

var errKilled = errors.New("killed")

func (b *brittle) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return nil, errKilled
	}
	if b.left--; b.left > 0 {
		return b.ledger.Publish(ctx, cause, drafts...)
	}
	defer b.end()
	if b.after {
		if _, err := b.ledger.Publish(ctx, cause, drafts...); err != nil {
			return nil, err
		}
	}
	return nil, errKilled
}

// each publishes posts one by one, as a log does that takes its time.
func each(ctx context.Context, l ledger, posts []bus.Post) []bus.Posted {
	out := make([]bus.Posted, len(posts))
	for i, p := range posts {
		published, err := l.Publish(ctx, p.Cause, p.Draft)
		if out[i].Err = err; err == nil {
			out[i].Event = published[0]
		}
	}
	return out
}

func (b *brittle) PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted {
	return each(ctx, b, posts)
}

// TestKilledAtEveryPublish ends the watcher before and after each thing that
// it publishes, with its memory kept and lost, and demands that the next one
// leaves the log as one that was never ended.
func TestKilledAtEveryPublish(t *testing.T) {
	for _, after := range []bool{false, true} {
		for _, disk := range []bool{true, false} {
			t.Run(fmt.Sprintf("after=%v,disk=%v", after, disk), func(t *testing.T) {
				l := newLab(t, gitserver.Options{})
				a := l.put("a", "web", "api")
				l.do(l.fleet.Put(map[string]string{"clusters/broken.yaml": application("db", "none", "")}))
				l.declareShop("web", "api")
				for n := range 4 { // a rejection, a list, two revisions
					// Killed after a publish it comes one further each time;
					// killed before one, it does that first which it was
					// killed at before.
					if after || n == 0 {
						l.kill(1, after)
					} else {
						l.kill(2, after)
					}
					if !disk {
						l.must(os.RemoveAll(l.config.Mirrors))
					}
				}
				stop := l.watch()
				l.observed("web", a)
				l.observed("api", a)
				l.awaitList("api", "db held", "web")
				stop()
				got := l.revisions(map[string]string{a: "A"})
				l.same("revisions", got, "api A declaration", "web A declaration")
				for noun, want := range map[string]int{"fleet.rejected": 1, "fleet.observed": 1} {
					if n := len(l.log(noun)); n != want {
						t.Errorf("%d %s, want %d", n, noun, want)
					}
				}
			})
		}
	}
}

// kill runs a watcher that ends at its nth publish.
func (l *lab) kill(n int, after bool) {
	l.Helper()
	s, err := l.config.check()
	l.must(err)
	conn := l.bus.Connect(l.T, "watcher")
	ctx, cancel := context.WithTimeout(context.Background(), bustest.Timeout)
	defer cancel()
	b := &brittle{ledger: conn, after: after, end: cancel, left: n}
	l.must(os.MkdirAll(s.Mirrors, 0o700))
	h := newHub(s, b, conn.Blobs(), bustest.Log(l))
	quiet := func(ctx context.Context) error { <-ctx.Done(); return nil }
	if err := h.run(ctx, quiet, nil); err != nil {
		l.Fatal(err)
	}
	conn.Close()
	if b.left > 0 {
		l.Fatal("the watcher was not killed")
	}
}

func TestBusAwayLosesNothing(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch()
	l.observed("web", a)
	l.awaitList("web")
	l.bus.Down(t)
	l.put("b", "web")
	c := l.put("c", "web")
	l.bus.Up(t)
	l.observed("web", c)
	if n := len(l.outages("shop")); n != 0 {
		t.Errorf("%d outages of a repository that was there", n)
	}
}

func TestLostBlobIsSentAgain(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	_, data := l.observed("web", a)
	stop()
	js := l.bus.Dial(t, "provisioner")
	answer, err := js.RequestWithContext(t.Context(), "$JS.API.STREAM.PURGE.BLOBS", nil)
	if err != nil || strings.Contains(string(answer.Data), `"error"`) {
		t.Fatalf("purge: %v, %s", err, answer.Data)
	}
	l.watch()
	renderer := l.bus.Connect(t, "renderer")
	bustest.Eventually(t, "the source again", func() bool {
		_, err := renderer.Blobs().Get(t.Context(), data.Source)
		return err == nil
	})
	if n := len(l.log("commit.observed")); n != 1 {
		t.Errorf("%d revisions, want 1", n)
	}
}

func TestRejectedCommitIsSaidOnce(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	limit := func(c *Config) { c.Limits = DefaultLimits(); c.Limits.File = 10_000 }
	stop := l.watch(limit)
	l.observed("web", a)
	big := l.put(strings.Repeat("x", 20_000), "web")
	bustest.Eventually(t, "the rejection", func() bool { return l.last(&events.CommitRejected{}, local("web")) != nil })
	stop()
	stop = l.watch(limit)
	l.looks(6)
	stop()
	l.watch(limit)
	c := l.put("c", "web")
	l.observed("web", c)
	rejected := l.log("commit.rejected")
	if len(rejected) != 1 {
		t.Fatalf("%d rejections, want 1", len(rejected))
	}
	if p := rejected[0].Data.(*events.CommitRejected); p.Commit != big || p.Reason != events.ReasonSourceTooLarge {
		t.Errorf("rejection: %+v", p)
	}
	l.same("revisions", l.revisions(map[string]string{a: "A", c: "C"}), "web A declaration", "web C commit")
}

func TestSyncAndWebhookLookNow(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": strings.Replace(
		repository("shop", l.shop.URL), "interval: 1s", "interval: 1h", 1) + application("web", "shop", "")}))
	secrets := t.TempDir()
	l.must(os.WriteFile(filepath.Join(secrets, "shop"), []byte("s3cret"), 0o600))
	listening := make(chan string, 1)
	l.watch(func(c *Config) {
		c.FleetInterval = 1e13
		c.WebhookListen, c.WebhookSecrets, c.WebhookReady = "127.0.0.1:0", secrets, func(a string) { listening <- a }
	})
	l.observed("web", a)
	address := <-listening

	b := l.put("b", "web")
	post := func(signature string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+address+"/webhook/shop", strings.NewReader("{}"))
		l.must(err)
		request.Header.Set("X-Hub-Signature-256", signature)
		response, err := http.DefaultClient.Do(request)
		l.must(err)
		l.must(response.Body.Close())
		return response.StatusCode
	}
	if code := post(sign("wrong", "{}")); code != http.StatusUnauthorized {
		t.Errorf("a wrong signature: %d", code)
	}
	if code := post(sign("s3cret", "{}")); code != http.StatusAccepted {
		t.Errorf("a right signature: %d", code)
	}
	if _, data := l.observed("web", b); data.Revision.Trigger != byWebhook {
		t.Errorf("trigger %s", data.Revision.Trigger)
	}

	operator := l.bus.Connect(t, "operator")
	for i, application := range []string{"web", ""} {
		c := l.put(fmt.Sprint("c", i), "web")
		_, err := operator.Publish(t.Context(), events.Cause{ID: fmt.Sprint("sync", i)},
			events.Draft{Data: &events.SyncRequested{By: "test"}, Address: events.Address{Application: application}})
		l.must(err)
		if _, data := l.observed("web", c); data.Revision.Trigger != bySync {
			t.Errorf("trigger %s", data.Revision.Trigger)
		}
	}
}

func TestMirrorIsClonedAnewWhenItHasTooManyPacks(t *testing.T) {
	s := gitserver.New(t, gitserver.Options{})
	repo, err := s.Repo("shop")
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMirror(filepath.Join(t.TempDir(), "mirror"))
	if err != nil {
		t.Fatal(err)
	}
	most := 0
	var first plumbing.Hash
	for i := range maxPacks + 5 {
		id, err := repo.Put(map[string]string{"a": fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = plumbing.NewHash(id)
		}
		bring(t, m, repo.URL, "refs/heads/main")
		packs, err := m.store.ObjectPacks()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, len(packs))
		if i == maxPacks && len(packs) != 1 {
			t.Errorf("%d packs after the clone", len(packs))
		}
		if in, err := m.isAncestor(t.Context(), first, plumbing.NewHash(id)); err != nil || !in {
			t.Fatalf("commit %d: history is lost: %v", i, err)
		}
	}
	if most != maxPacks {
		t.Errorf("%d packs at most, want %d", most, maxPacks)
	}
	left, err := os.ReadDir(m.root)
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestCostOfACommit prints what a commit costs in bytes, for the README.
func TestCostOfACommit(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	files := map[string]string{}
	for i := range 200 {
		random := make([]byte, 1024)
		if _, err := rand.Read(random); err != nil {
			t.Fatal(err)
		}
		files[fmt.Sprintf("web/%03d.yaml", i)] = hex.EncodeToString(random)
	}
	a := l.do(l.shop.Put(files))
	l.declareShop("web")
	l.watch()
	_, first := l.observed("web", a)
	fetched := l.git.Served(gitserver.Fetch)

	b := l.do(l.shop.Put(map[string]string{"web/000.yaml": "changed"}))
	_, changed := l.observed("web", b)
	delta := l.git.Served(gitserver.Fetch) - fetched

	c := l.do(l.shop.Commit(gitserver.Commit{Message: "Nothing"}))
	l.must(l.shop.Push())
	_, unchanged := l.observed("web", c)
	if unchanged.Source != changed.Source {
		t.Errorf("an unchanged tree was sent again: %+v, %+v", changed.Source, unchanged.Source)
	}
	if delta > 20_000 {
		t.Errorf("%d bytes fetched for one changed file", delta)
	}
	if changed.Source.Size > first.Source.Size+1000 {
		t.Errorf("sources of %d and %d bytes", first.Source.Size, changed.Source.Size)
	}
	t.Logf("200 files of 2 KiB: clone %d bytes from Git, %d bytes to the bus; one file changed: %d from Git, %d to the bus; nothing changed: 0 to the bus",
		fetched, first.Source.Size, delta, changed.Source.Size)
}

var _ ledger = (*bus.Conn)(nil)

func TestKilledWhileRememberingLeavesNothing(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.must(os.MkdirAll(l.config.Mirrors, 0o700))
	left := filepath.Join(l.config.Mirrors, memoryFile+".123")
	l.must(os.WriteFile(left, []byte("{"), 0o600))
	a := l.put("a", "web")
	l.declareShop("web")
	l.watch()
	l.observed("web", a)
	if _, err := os.Stat(left); err == nil {
		t.Error("a memory in the making is left")
	}
}

func TestRefusedTreeIsPackedOnce(t *testing.T) {
	tree := plumbing.NewHash("1212121212121212121212121212121212121212")
	why := &sourceError{reason: events.ReasonSourceTooLarge}
	r := &reader{refused: map[plumbing.Hash]*sourceError{tree: why}} // without a mirror to pack from
	if _, err := r.source(t.Context(), tree); !errors.Is(err, why) {
		t.Errorf("err = %v", err)
	}
}

func TestTwoProcessesDoNotShareMirrors(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	a := l.put("a", "web")
	l.declareShop("web")
	stop := l.watch()
	l.observed("web", a)
	if err := Run(t.Context(), process.Env{Log: bustest.Log(l)}, l.config); err == nil || !strings.Contains(err.Error(), "another watcher") {
		t.Errorf("a second watcher in the same folder: %v", err)
	}
	stop()
	l.watch()
	b := l.put("b", "web")
	l.observed("web", b)
}

// unwritable is a log that can't take an application's revisions.
type unwritable struct {
	ledger
	application string
	err         error
}

func (u unwritable) Publish(ctx context.Context, cause events.Cause, drafts ...events.Draft) ([]events.Event, error) {
	if _, ok := drafts[0].Data.(*events.CommitObserved); ok && drafts[0].Address.Application == u.application {
		return nil, u.err
	}
	return u.ledger.Publish(ctx, cause, drafts...)
}

func (u unwritable) PublishEach(ctx context.Context, posts []bus.Post) []bus.Posted {
	return each(ctx, u, posts)
}

// A revision that makes no event is the commit's fault, said once, and keeps
// no other application back.
func TestRevisionThatMakesNoEvent(t *testing.T) {
	for err, reason := range map[error]events.Reason{
		events.ErrTooLarge: events.ReasonSourceTooLarge, events.ErrInvalid: events.ReasonSourceInvalid,
	} {
		t.Run(string(reason), func(t *testing.T) {
			l := newLab(t, gitserver.Options{})
			l.config.FleetInterval = 1e13
			a := l.put("a", "web", "api")
			l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": l.calm() + application("web", "shop", "") + application("api", "shop", "")}))
			p := l.poller(l.bus.Connect(t, "watcher"), "one", func(log ledger, _ context.CancelFunc) ledger {
				return unwritable{log, "api", fmt.Errorf("encode: %w", err)}
			})
			p.poll()
			p.hub.sync("")
			p.poll()
			l.same("the log", l.lines(map[string]string{a: "A"}), "commit.observed local web A declaration", "commit.rejected local api A", "fleet.observed local 2 held 0")
			if said := l.last(&events.CommitRejected{}, local("api")).Data.(*events.CommitRejected); said.Reason != reason {
				t.Errorf("said: %+v", said)
			}
		})
	}
}
