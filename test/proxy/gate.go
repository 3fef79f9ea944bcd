// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"errors"
	"io"
	"net"
	"time"
)

// errGone says that a connection was reset.
var errGone = errors.New("the connection was reset")

// gate lets through what the fault of its link lets through.
type gate struct {
	link      *Link
	pair      *pair
	direction Direction
	to        net.Conn
}

func (g *gate) Write(b []byte) (int, error) {
	for {
		p := g.link
		p.mu.Lock()
		f, changed := p.fault, p.changed
		if f.Lose&g.direction != 0 {
			g.pair.lost |= g.direction
		}
		lost := g.pair.lost&g.direction != 0
		left := f.Cut - g.pair.toClient
		cut := f.Cut > 0 && g.direction == ToClient && int64(len(b)) >= left
		if !cut && g.direction == ToClient && !lost && f.Hold&g.direction == 0 {
			g.pair.toClient += int64(len(b))
		}
		if cut || (f.Lose|f.Hold)&g.direction != 0 {
			p.struck++
		}
		p.mu.Unlock()
		switch {
		case lost:
			return len(b), nil
		case f.Hold&g.direction != 0:
			select {
			case <-changed:
				continue
			case <-g.pair.gone:
				return 0, errGone
			}
		case cut:
			if left > 0 {
				_, _ = g.to.Write(b[:left]) // the reset is what counts
			}
			g.pair.reset()
			return 0, errGone
		}
		return g.to.Write(b)
	}
}

// piece is what was read at one time.
type piece struct {
	data []byte
	at   time.Time
}

// delay keeps each piece under way for as long as the fault says, and keeps
// their order.
type delay struct {
	link   *Link
	pair   *pair
	pieces chan piece
	done   chan error
}

func newDelay(p *Link, c *pair, out io.Writer) *delay {
	d := &delay{link: p, pair: c, pieces: make(chan piece, 64), done: make(chan error, 1)}
	go func() { d.done <- d.run(out) }()
	return d
}

func (d *delay) Write(b []byte) (int, error) {
	select {
	case d.pieces <- piece{append([]byte(nil), b...), time.Now()}:
		return len(b), nil
	case <-d.pair.gone:
		return 0, errGone
	}
}

func (d *delay) close() error {
	close(d.pieces)
	return <-d.done
}

func (d *delay) run(out io.Writer) (err error) {
	for one := range d.pieces {
		if err != nil {
			continue // so that nobody waits to write
		}
		if err = d.wait(one.at); err == nil {
			_, err = out.Write(one.data)
		}
		if err != nil {
			d.pair.reset()
		}
	}
	return err
}

// wait waits until a piece is due, by the fault as it is then.
func (d *delay) wait(at time.Time) error {
	for {
		d.link.mu.Lock()
		due, changed := at.Add(d.link.fault.Delay), d.link.changed
		left := time.Until(due)
		if left > 0 {
			d.link.struck++
		}
		d.link.mu.Unlock()
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
			return nil
		case <-changed:
			timer.Stop()
		case <-d.pair.gone:
			timer.Stop()
			return errGone
		}
	}
}
