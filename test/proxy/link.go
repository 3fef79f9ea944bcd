// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Direction is where bytes go; directions can be joined with |.
type Direction uint8

// The directions.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Fault is what is wrong with a link. The zero value is a link that works.
type Fault struct {
	// Refuse resets every connection, open or new, at once.
	Refuse bool
	// Hold keeps back what is sent until the fault is over; then it comes.
	Hold Direction
	// Lose takes what is sent, and it never arrives. A connection that has lost
	// something stays silent in that direction for ever, also after the fault.
	Lose Direction
	// Delay is how long each piece is under way, in each direction.
	Delay time.Duration
	// Cut resets a connection when so many bytes have come to its client since
	// the fault began; 0: never.
	Cut int64
}

// Link is a TCP proxy. It is safe for concurrent use.
type Link struct {
	listener net.Listener
	target   string
	// inspect, where set, changes what goes through, until the channel is
	// closed: the connection is gone then. See [Bus].
	inspect func(Direction, <-chan struct{}, io.Reader, io.Writer) error

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed and replaced with each fault
	pairs   map[*pair]bool
	struck  int // pieces and connections that the fault has met
	closed  bool
	group   sync.WaitGroup
}

// NewLink listens on a free port and carries what comes there to target, which
// is host:port.
func NewLink(target string) (*Link, error) { return newLink(target, nil) }

func newLink(target string, inspect func(Direction, <-chan struct{}, io.Reader, io.Writer) error) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy before %s: %w", target, err)
	}
	p := &Link{listener: l, target: target, inspect: inspect, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	p.group.Go(p.accept)
	return p, nil
}

// Address is where it listens: host:port.
func (p *Link) Address() string { return p.listener.Addr().String() }

// Set sets what is wrong from now on.
func (p *Link) Set(f Fault) {
	p.mu.Lock()
	p.fault, p.struck = f, 0
	close(p.changed)
	p.changed = make(chan struct{})
	if f.Refuse {
		p.struck = len(p.pairs)
	}
	for c := range p.pairs {
		c.toClient = 0
	}
	p.mu.Unlock()
	if f.Refuse {
		p.Reset()
	}
}

// Struck is how many connections the present fault has reset or refused, and
// how many pieces of what was sent it has lost, held or delayed.
func (p *Link) Struck() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.struck
}

// Mend ends what is wrong. Connections that have lost something stay silent.
func (p *Link) Mend() { p.Set(Fault{}) }

// Reset resets every open connection.
func (p *Link) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.reset()
	}
}

// Open is how many connections are open.
func (p *Link) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Close ends the link and every connection.
func (p *Link) Close() error {
	p.mu.Lock()
	p.closed = true
	p.fault = Fault{}
	close(p.changed)
	p.changed = make(chan struct{})
	p.mu.Unlock()
	err := p.listener.Close()
	p.Reset()
	p.group.Wait()
	return err
}

func (p *Link) accept() {
	for {
		client, err := p.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // of one connection, which is gone
		}
		p.group.Go(func() { p.serve(client) })
	}
}

// pair is a connection of a client and the one to the server that belongs to
// it.
type pair struct {
	client, server net.Conn
	lost           Direction // guarded by the link's mu
	toClient       int64     // bytes since the fault began; guarded by the link's mu
	once           sync.Once
	gone           chan struct{}
}

// reset ends both with RST, so that nobody takes it for an orderly end.
func (c *pair) reset() {
	c.once.Do(func() {
		close(c.gone)
		for _, conn := range []net.Conn{c.client, c.server} {
			if tcp, ok := conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0) // it fails only where the connection is gone
			}
			_ = conn.Close()
		}
	})
}

// end closes both in order.
func (c *pair) end() {
	c.once.Do(func() {
		close(c.gone)
		_ = c.client.Close()
		_ = c.server.Close()
	})
}

func (p *Link) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	c := &pair{client: client, server: server, gone: make(chan struct{})}
	if err != nil {
		c.server = client
		c.reset() // as the server would be found: nobody there
		return
	}
	p.mu.Lock()
	refused := p.fault.Refuse || p.closed
	if refused {
		p.struck++
	} else {
		p.pairs[c] = true
	}
	p.mu.Unlock()
	if refused {
		c.reset()
		return
	}
	defer func() {
		p.mu.Lock()
		delete(p.pairs, c)
		p.mu.Unlock()
	}()
	var directions sync.WaitGroup
	directions.Go(func() { p.carry(c, ToServer, client, server) })
	directions.Go(func() { p.carry(c, ToClient, server, client) })
	directions.Wait()
	c.end()
}

// carry carries one direction until it ends, and tells the other end.
func (p *Link) carry(c *pair, d Direction, from io.Reader, to net.Conn) {
	var out io.Writer = &gate{link: p, pair: c, direction: d, to: to}
	pipe := newDelay(p, c, out)
	var err error
	if p.inspect != nil {
		err = p.inspect(d, c.gone, from, pipe)
	} else {
		_, err = io.CopyBuffer(pipe, struct{ io.Reader }{from}, make([]byte, 32<<10))
	}
	if e := pipe.close(); err == nil {
		err = e
	}
	if err != nil {
		c.reset()
		return
	}
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite() // it fails only where the connection is gone
	}
}
