// SPDX-License-Identifier: Apache-2.0

package proxy_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/plumbline-dev/plumbline/test/freeport"
	"github.com/plumbline-dev/plumbline/test/kubelab"
	"github.com/plumbline-dev/plumbline/test/proxy"
)

func TestMain(m *testing.M) { kubelab.Main(m) }

const (
	patience = 20 * time.Second
	moment   = 150 * time.Millisecond // in which nothing is to come
)

// echo is a server that returns what it is told.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// line is a connection through a link to an echo.
type line struct {
	net.Conn
	t *testing.T
}

func dial(t *testing.T, l *proxy.Link) *line {
	t.Helper()
	conn, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &line{conn, t}
}

func newLink(t *testing.T) *proxy.Link {
	t.Helper()
	l, err := proxy.NewLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func (l *line) say(text string) {
	l.t.Helper()
	if _, err := l.Write([]byte(text)); err != nil {
		l.t.Fatal(err)
	}
}

// hears wants exactly text to come.
func (l *line) hears(text string) {
	l.t.Helper()
	got := make([]byte, len(text))
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadFull(l, got); err != nil || string(got) != text {
		l.t.Fatalf("heard %q, want %q: %v", got, text, err)
	}
}

// silent wants nothing to come, and the connection to stay.
func (l *line) silent() {
	l.t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(moment)); err != nil {
		l.t.Fatal(err)
	}
	n, err := l.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		l.t.Fatalf("%d bytes and %v, want silence", n, err)
	}
}

// struck waits until the fault of a link has met something.
func struck(t *testing.T, l *proxy.Link) {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for l.Struck() == 0 {
		select {
		case <-deadline.C:
			t.Fatal("the fault meets nothing")
		case <-tick.C:
		}
	}
}

// reset wants the connection to be reset.
func (l *line) reset() {
	l.t.Helper()
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		l.t.Fatal(err)
	}
	if _, err := io.ReadAll(l); !errors.Is(err, syscall.ECONNRESET) {
		l.t.Fatalf("the connection ends with %v, want a reset", err)
	}
}

// refused wants a new connection to be reset, which may be seen before the
// dial is over.
func refused(t *testing.T, l *proxy.Link) {
	t.Helper()
	conn, err := net.Dial("tcp", l.Address())
	if errors.Is(err, syscall.ECONNRESET) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	(&line{conn, t}).reset()
}

func TestLinkPasses(t *testing.T) {
	l := newLink(t)
	c := dial(t, l)
	c.say("hello")
	c.hears("hello")
	if n := l.Open(); n != 1 {
		t.Errorf("%d connections are open", n)
	}
	if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("an orderly end comes as %q, %v", b, err)
	}
}

func TestLinkRefuses(t *testing.T) {
	l := newLink(t)
	c := dial(t, l)
	c.say("hello")
	c.hears("hello")
	l.Set(proxy.Fault{Refuse: true})
	c.reset()
	refused(t, l)
	l.Mend()
	c = dial(t, l)
	c.say("again")
	c.hears("again")
}

func TestLinkHolds(t *testing.T) {
	for name, d := range map[string]proxy.Direction{"to the server": proxy.ToServer, "to the client": proxy.ToClient, "both": proxy.Both} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t)
			c := dial(t, l)
			l.Set(proxy.Fault{Hold: d})
			c.say("held")
			c.silent()
			l.Mend()
			c.hears("held")
		})
	}
}

func TestLinkLoses(t *testing.T) {
	for name, d := range map[string]proxy.Direction{"to the server": proxy.ToServer, "to the client": proxy.ToClient, "both": proxy.Both} {
		t.Run(name, func(t *testing.T) {
			l := newLink(t)
			c, other := dial(t, l), dial(t, l)
			other.say("ready") // so that it is open before the fault
			other.hears("ready")
			l.Set(proxy.Fault{Lose: d})
			c.say("lost")
			struck(t, l) // or it is still under way when the fault is over
			c.silent()
			l.Mend()
			c.say("lost too") // half-open for ever
			c.silent()
			other.say("whole") // has lost nothing
			other.hears("whole")
		})
	}
}

func TestLinkDelays(t *testing.T) {
	l := newLink(t)
	c := dial(t, l)
	l.Set(proxy.Fault{Delay: moment / 2})
	began := time.Now()
	c.say("one")
	c.say("two")
	c.hears("onetwo")
	if took := time.Since(began); took < moment {
		t.Errorf("there and back took %s, less than twice %s", took, moment/2)
	}
	l.Set(proxy.Fault{Delay: time.Hour})
	c.say("three")
	c.silent()
	l.Mend()
	c.hears("three")
}

func TestLinkCuts(t *testing.T) {
	l := newLink(t)
	c := dial(t, l)
	c.say("before")
	c.hears("before")
	l.Set(proxy.Fault{Cut: 4})
	c.say("wholesome")
	c.hears("whol")
	c.reset()
}

func TestLinkWithoutServer(t *testing.T) {
	l, err := proxy.NewLink(freeport.Address(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	refused(t, l)
}
