// SPDX-License-Identifier: Apache-2.0

package blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/blob"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
)

const prefix = "plumbline.blob.renderer.local"

func body(n int) []byte {
	data := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = rng.Read(data)
	return data
}

func TestRoundTrip(t *testing.T) {
	s := bustest.Start(t)
	renderer, applier := s.Connect(t, "renderer").Blobs(), s.Connect(t, "applier-local").Blobs()
	for _, n := range []int{0, 1, blob.ChunkSize - 1, blob.ChunkSize, blob.ChunkSize + 1, 3*blob.ChunkSize + 17} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			data := body(n)
			b, err := renderer.Put(t.Context(), prefix, data)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := renderer.Put(t.Context(), prefix, data); err != nil || again != b {
				t.Errorf("put again: %+v, %v; want %+v", again, err, b)
			}
			if again, err := renderer.PutNew(t.Context(), prefix, data); err != nil || again != b {
				t.Errorf("put again as if it were new: %+v, %v; want %+v", again, err, b)
			}
			if got, err := applier.Get(t.Context(), b); err != nil || !bytes.Equal(got, data) {
				t.Errorf("Get = %d bytes, %v", len(got), err)
			}
			if has, err := applier.Has(t.Context(), b); err != nil || !has {
				t.Errorf("Has = %v, %v", has, err)
			}
			if got, err := applier.Stat(t.Context(), b.Name); err != nil || got != b {
				t.Errorf("Stat = %+v, %v", got, err)
			}
		})
	}
}

// unread is a wire over which nothing may be asked.
type unread struct {
	*testing.T
	sent int
}

func (w *unread) Write(context.Context, *nats.Msg) (bool, error) {
	w.sent++
	return false, nil
}

func (w *unread) Read(_ context.Context, _, subject string) (*nats.Msg, error) {
	w.Errorf("asked for %s", subject)
	return nil, nil
}

func TestWhatIsNewIsSentWithoutAQuestion(t *testing.T) {
	w := &unread{T: t}
	if _, err := blob.New(w).PutNew(t.Context(), prefix, body(100)); err != nil || w.sent != 1 {
		t.Errorf("%d messages were sent, %v", w.sent, err)
	}
	if _, err := blob.New(w).PutNew(t.Context(), "elsewhere.>", body(100)); err == nil {
		t.Error("a name that is none was taken")
	}
}

// What is under a name stays: the stream takes one message per subject, and
// refuses a second even from who may write there.
func TestWriteOnce(t *testing.T) {
	s := bustest.Start(t)
	renderer := s.Connect(t, "renderer").Blobs()
	first, second := []byte("first"), []byte("second")
	b, err := renderer.PutNamed(t.Context(), prefix+".name", first)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := renderer.PutNamed(t.Context(), prefix+".name", second); err != nil || got != b {
		t.Errorf("put under a name that is taken = %+v, %v; want what is there", got, err)
	}
	nc := s.Dial(t, "renderer")
	answer, err := nc.Request(prefix+".name.0", second, bustest.Timeout)
	if err != nil || !strings.Contains(string(answer.Data), "maximum messages per subject exceeded") {
		t.Errorf("the server answers %s, %v", answer.Data, err)
	}
	if got, err := renderer.Get(t.Context(), b); err != nil || !bytes.Equal(got, first) {
		t.Errorf("Get = %q, %v", got, err)
	}
}

// A write that broke off is completed, and not taken for a blob before.
func TestBrokenWriteIsCompleted(t *testing.T) {
	s := bustest.Start(t)
	conn := s.Connect(t, "renderer")
	data := body(2*blob.ChunkSize + 5)
	whole, err := conn.Blobs().PutNamed(t.Context(), prefix+".whole", data)
	if err != nil {
		t.Fatal(err)
	}
	nc := s.Dial(t, "renderer")
	for i := range 2 {
		m := nats.NewMsg(fmt.Sprintf("%s.part.%d", prefix, i))
		m.Header.Set("Plumbline-Digest", whole.Digest)
		m.Header.Set("Plumbline-Size", fmt.Sprint(whole.Size))
		m.Header.Set("Plumbline-Chunks", fmt.Sprint(whole.Chunks))
		m.Data = data[i*blob.ChunkSize : (i+1)*blob.ChunkSize]
		if _, err := nc.RequestMsg(m, bustest.Timeout); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Blobs().Stat(t.Context(), prefix+".part"); !errors.Is(err, blob.ErrMissing) {
		t.Errorf("Stat of a part = %v, want ErrMissing", err)
	}
	if _, err := conn.Blobs().PutNamed(t.Context(), prefix+".part", body(3*blob.ChunkSize)); !errors.Is(err, blob.ErrExists) {
		t.Errorf("another body over the part = %v, want ErrExists", err)
	}
}

func TestPartIsCompletedByItsOwnBody(t *testing.T) {
	s := bustest.Start(t)
	conn := s.Connect(t, "renderer")
	data := body(2*blob.ChunkSize + 5)
	ctx, cancel := context.WithCancel(t.Context())
	w := &breaking{cancel: cancel, after: 2}
	w.Wire = wireOf(t, s)
	if _, err := blob.New(w).Put(ctx, prefix, data); err == nil {
		t.Fatal("the write did not break off")
	}
	b, err := conn.Blobs().Put(t.Context(), prefix, data)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := conn.Blobs().Get(t.Context(), b); err != nil || !bytes.Equal(got, data) {
		t.Errorf("Get = %d bytes, %v", len(got), err)
	}
}

// breaking breaks off after some writes.
type breaking struct {
	blob.Wire
	cancel context.CancelFunc
	after  int
}

func (b *breaking) Write(ctx context.Context, m *nats.Msg) (bool, error) {
	if b.after == 0 {
		b.cancel()
		return false, context.Canceled
	}
	b.after--
	return b.Wire.Write(ctx, m)
}

// plain is a wire over a bare connection.
type plain struct{ nc *nats.Conn }

func wireOf(t *testing.T, s *bustest.Server) blob.Wire { return plain{s.Dial(t, "renderer")} }

func (p plain) Write(_ context.Context, m *nats.Msg) (bool, error) {
	answer, err := p.nc.RequestMsg(m, bustest.Timeout)
	return err == nil && strings.Contains(string(answer.Data), "maximum messages"), err
}

func (p plain) Read(_ context.Context, stream, subject string) (*nats.Msg, error) {
	m, err := p.nc.Request("$JS.API.DIRECT.GET."+stream+"."+subject, nil, bustest.Timeout)
	if err == nil && m.Header.Get("Status") == "404" {
		return nil, nil
	}
	return m, err
}

func TestReadsAreVerified(t *testing.T) {
	s := bustest.Start(t)
	store := s.Connect(t, "renderer").Blobs()
	b, err := store.Put(t.Context(), prefix, body(blob.ChunkSize+9))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*events.Blob)
		want   error
	}{
		"digest":          {func(b *events.Blob) { b.Digest = "sha256:" + strings.Repeat("0", 64) }, blob.ErrIntegrity},
		"shorter":         {func(b *events.Blob) { b.Size-- }, blob.ErrIntegrity},
		"fewer chunks":    {func(b *events.Blob) { b.Chunks = 1 }, blob.ErrIntegrity},
		"one chunk":       {func(b *events.Blob) { b.Chunks, b.Size = 1, 9 }, blob.ErrIntegrity},
		"longer":          {func(b *events.Blob) { b.Size += blob.ChunkSize; b.Chunks++ }, blob.ErrMissing},
		"negative":        {func(b *events.Blob) { b.Size = -1 }, blob.ErrIntegrity},
		"huge":            {func(b *events.Blob) { b.Size, b.Chunks = 1<<40, 1<<21 }, blob.ErrIntegrity},
		"not there":       {func(b *events.Blob) { b.Name += "x" }, blob.ErrMissing},
		"as it should be": {func(*events.Blob) {}, nil},
	} {
		changed := b
		c.change(&changed)
		if _, err := store.Get(t.Context(), changed); !errors.Is(err, c.want) {
			t.Errorf("%s: Get = %v, want %v", name, err, c.want)
		}
	}
}

// A name comes with an event: a wildcard in it would read another blob.
func TestNamesAreNoWildcards(t *testing.T) {
	store := blob.New(nil) // never reached
	for _, name := range []string{"", "plumbline.blob", "plumbline.blob.", "plumbline.blob.a..b", "plumbline.blob.a.*", "plumbline.blob.a.>", "plumbline.v1.a", "plumbline.blob.a b", "plumbline.blob.a\r\nb", "plumbline.blob.ä"} {
		if _, err := store.Get(t.Context(), events.Blob{Name: name, Chunks: 1}); err == nil || errors.Is(err, blob.ErrMissing) {
			t.Errorf("Get(%q) = %v", name, err)
		}
		if _, err := store.PutNamed(t.Context(), name, nil); err == nil {
			t.Errorf("PutNamed(%q) was taken", name)
		}
	}
}

// sweptOnce answers the first write of a chunk as if it were there, and the
// read after it as if it had been swept in between.
type sweptOnce struct {
	blob.Wire
	written int
}

func (w *sweptOnce) Write(ctx context.Context, m *nats.Msg) (bool, error) {
	if w.written++; w.written == 1 {
		return true, nil
	}
	return w.Wire.Write(ctx, m)
}

func TestChunkThatIsSweptWhileItIsWritten(t *testing.T) {
	s := bustest.Start(t)
	store := blob.New(&sweptOnce{Wire: wireOf(t, s)})
	b, err := store.Put(t.Context(), prefix, body(9))
	if err != nil {
		t.Fatal(err)
	}
	if has, err := store.Has(t.Context(), b); err != nil || !has {
		t.Errorf("Has = %v, %v: the blob is said to be stored", has, err)
	}
}
