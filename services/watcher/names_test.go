// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/gitserver"
)

func TestMain(m *testing.M) {
	// What resolves names belongs to the process: it is there before any test.
	if err := names.serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: names.dial}
	os.Exit(m.Run())
}

// names is the name server that the tests of this package ask.
var names = &zone{answers: map[string][]netip.Addr{}}

// zone is a name server over UDP that knows the addresses of some names.
type zone struct {
	conn net.PacketConn

	mu      sync.Mutex
	answers map[string][]netip.Addr // by name, without its last dot
}

func (z *zone) serve() (err error) {
	if z.conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		return err
	}
	go func() { // ends with the process
		buffer := make([]byte, 1<<10)
		for {
			n, from, err := z.conn.ReadFrom(buffer)
			if err != nil {
				return
			}
			if answer, err := z.answer(buffer[:n]); err == nil {
				_, _ = z.conn.WriteTo(answer, from) // who asked may have gone
			}
		}
	}()
	return nil
}

// dial reaches the name server, whichever is asked for.
func (z *zone) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "udp", z.conn.LocalAddr().String())
}

// set makes a name resolve to addresses.
func (z *zone) set(name string, addresses ...string) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.answers[name] = nil
	for _, a := range addresses {
		z.answers[name] = append(z.answers[name], netip.MustParseAddr(a))
	}
}

// answer answers a question for A or AAAA.
func (z *zone) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil || len(m.Questions) != 1 {
		return nil, fmt.Errorf("no question: %w", err)
	}
	q := m.Questions[0]
	z.mu.Lock()
	defer z.mu.Unlock()
	addresses, known := z.answers[strings.TrimSuffix(q.Name.String(), ".")]
	m.Response, m.Authoritative, m.Additionals = true, true, nil
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}

// A name is what its owner lets it be. Where it leads to an address that is not
// dialled, nobody is asked there, over HTTP or SSH; another address that it
// leads to, too, is.
func TestAdvisoryC3NamesOfAddressesThatAreNotDialled(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	ssh, err := l.git.ServeSSH()
	l.must(err)
	l.put("a", "web")
	l.credential("shop", "identity", string(ssh.Identity))
	l.credential("shop", "known_hosts", string(ssh.KnownHosts))
	_, port, err := net.SplitHostPort(l.git.Host())
	l.must(err)
	for name, addresses := range map[string][]string{
		"metadata.test":     {"169.254.169.254"},
		"metadata-six.test": {"fd00:ec2::254"},
		"mapped.test":       {"::ffff:169.254.169.254"},
		"translated.test":   {"64:ff9b::a9fe:a9fe"},
		"unspecified.test":  {"0.0.0.0"},        // where the Git server would answer
		"one-of-two.test":   {"::1", "0.0.0.0"}, // where it would by the second one
	} {
		names.set(name, addresses...)
		for _, url := range []string{"http://" + name + ":" + port + "/shop.git", strings.Replace(ssh.URL, "127.0.0.1", name, 1) + "/shop.git"} {
			before := l.git.Count(gitserver.List)
			err := l.asks(url)
			if err == nil || l.git.Count(gitserver.List) != before {
				t.Errorf("%s: it was asked (%v)", url, err)
				continue
			}
			if known := classify(err); known.reason != events.ReasonUnreachable || len(addresses) == 1 && !strings.Contains(known.message, "where no Git server is looked for") {
				t.Errorf("%s: %s %s", url, known.reason, known.message)
			}
		}
	}
	names.set("good-of-two.test", "169.254.169.254", "127.0.0.1")
	if err := l.asks("http://good-of-two.test:" + port + "/shop.git"); err != nil {
		t.Errorf("the address that may be dialled: %v", err)
	}
}

// asks lists the refs of the repository shop at a URL.
func (l *lab) asks(url string) error {
	l.Helper()
	e, err := parseEndpoint(url)
	l.must(err)
	r := &remote{name: "shop", endpoint: e, directory: l.config.GitCredentials, maxPack: 1 << 20}
	s, err := r.open(l.Context())
	if err != nil {
		return err
	}
	defer s.close()
	_, err = read(l.Context(), s)
	return err
}

// A name that resolved to a Git server, and then resolves to the credentials of
// the machine (DNS rebinding), is an outage until it is itself again.
func TestAdvisoryC3ANameThatIsRebound(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.git.Inject(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close") // the next request resolves the name again
			next.ServeHTTP(w, r)
		})
	})
	names.set("rebound.test", "127.0.0.1")
	a := l.put("a", "web")
	url := strings.Replace(l.shop.URL, "127.0.0.1", "rebound.test", 1)
	l.do(l.fleet.Put(map[string]string{"clusters/shop.yaml": repository("shop", url) + application("web", "shop", "")}))
	l.watch()
	l.observed("web", a)

	names.set("rebound.test", "169.254.169.254")
	b := l.put("b", "web")
	said := l.awaitUnreachable("shop")
	if said.Reason != events.ReasonUnreachable || !strings.Contains(said.Message, "resolves to 169.254.169.254") {
		t.Errorf("said: %+v", said)
	}
	names.set("rebound.test", "127.0.0.1")
	l.awaitRecovered("shop")
	l.observed("web", b)
}
