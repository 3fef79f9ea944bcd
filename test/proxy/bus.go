// SPDX-License-Identifier: Apache-2.0

package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// Delivery is what a [Bus] does to the messages of consumers, by chance, the
// share of each from 0 to 1.
type Delivery struct {
	// LoseAcks is the share of acknowledgements that never reach the server:
	// +ACK alone; that something is in progress, and what is given back, does.
	LoseAcks float64
	// Copies is how many more times a message is delivered at most; how often
	// is by chance, from 0 on. Each is delivered under the number that it came
	// with, so that nothing but its content says that it is another.
	Copies int
	// Spread is within which time messages and copies are delivered, in an
	// order that is by chance; 0: at once and in order.
	Spread time.Duration
}

// Bus is a link to a NATS server that reads the frames of the protocol. A
// message of a consumer is one whose reply is an acknowledgement
// ($JS.ACK.…, in the form with a domain too); everything else goes
// through as it is, in order, behind what was delivered before.
//
// The server counts what it has sent and not what was delivered: a pull is over
// at the client when it has got as many messages as it asked for, copies among
// them, and what the server sends beyond that is not heard. It comes again when
// it wasn't acknowledged in time.
type Bus struct {
	*Link

	mu       sync.Mutex
	delivery Delivery
	chance   *rand.Rand
	counts   Deliveries
}

// Deliveries counts what was done.
type Deliveries struct{ Delivered, Copied, Lost int }

// NewBus is [NewLink] for a NATS server; seed decides what is by chance.
func NewBus(target string, seed uint64) (*Bus, error) {
	b := &Bus{chance: rand.New(rand.NewPCG(seed, 0))} //nolint:gosec // a test's chance has to be repeated
	var err error
	b.Link, err = newLink(target, b.inspect)
	return b, err
}

// Deliver sets what is done to messages from now on.
func (b *Bus) Deliver(d Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delivery = d
}

// Deliveries says what was done until now.
func (b *Bus) Deliveries() Deliveries {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.counts
}

func (b *Bus) inspect(d Direction, gone <-chan struct{}, from io.Reader, to io.Writer) error {
	out := &ordered{to: to, gone: gone}
	err := frames(bufio.NewReaderSize(from, 64<<10), func(f frame) error {
		if d == ToServer && f.acknowledges() && b.loses() {
			return nil
		}
		if d == ToClient && f.delivers() {
			return b.deliver(out, f)
		}
		return out.write(f.bytes)
	})
	out.wait()
	return err
}

func (b *Bus) loses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	lost := b.delivery.LoseAcks > 0 && b.chance.Float64() < b.delivery.LoseAcks
	if lost {
		b.counts.Lost++
	}
	return lost
}

// deliver writes a message and its copies, each at its own time.
func (b *Bus) deliver(out *ordered, f frame) error {
	b.mu.Lock()
	after := make([]time.Duration, 1)
	if n := b.delivery.Copies; n > 0 {
		after = make([]time.Duration, 1+b.chance.IntN(n+1))
	}
	if spread := b.delivery.Spread; spread > 0 {
		for i := range after {
			after[i] = time.Duration(b.chance.Int64N(int64(spread)))
		}
	}
	b.counts.Delivered++
	b.counts.Copied += len(after) - 1
	b.mu.Unlock()
	for _, d := range after {
		if err := out.later(d, f.bytes); err != nil {
			return err
		}
	}
	return nil
}

// ordered lets several goroutines write whole frames.
type ordered struct {
	to    io.Writer
	gone  <-chan struct{} // closed when the connection was reset: what is under way is lost
	mu    sync.Mutex
	err   error
	group sync.WaitGroup
}

func (o *ordered) write(b []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		_, o.err = o.to.Write(b)
	}
	return o.err
}

func (o *ordered) later(d time.Duration, b []byte) error {
	if d == 0 {
		return o.write(b)
	}
	o.group.Go(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			_ = o.write(b) // the next one finds out
		case <-o.gone:
		}
	})
	return nil
}

// wait returns when everything is written or lost: nothing may be written after.
func (o *ordered) wait() { o.group.Wait() }

// frame is one message of the NATS protocol, with its payload.
type frame struct {
	bytes   []byte
	verb    string
	reply   string // of a message to the client
	subject string // of a message to the server
	payload []byte
}

// acknowledges reports whether it is a client's +ACK.
func (f frame) acknowledges() bool {
	if f.verb != "PUB" && f.verb != "HPUB" || !isAck(f.subject) {
		return false
	}
	return len(f.payload) == 0 || bytes.Equal(f.payload, []byte("+ACK"))
}

// delivers reports whether it is a message of a consumer.
func (f frame) delivers() bool {
	return (f.verb == "MSG" || f.verb == "HMSG") && isAck(f.reply)
}

func isAck(subject string) bool { return len(subject) > 8 && subject[:8] == "$JS.ACK." }

// frames reads frames until the reader ends (docs.nats.io, client protocol).
func frames(r *bufio.Reader, each func(frame) error) error {
	for {
		line, err := r.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 { //nolint:errorlint // a bufio.Reader returns it as it is
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a frame: %w", err)
		}
		f := frame{bytes: line}
		size, headers, err := f.parse()
		if err != nil {
			return err
		}
		if size >= 0 {
			body := make([]byte, size+2) // and CRLF
			if _, err := io.ReadFull(r, body); err != nil {
				return fmt.Errorf("read a payload: %w", err)
			}
			f.bytes = append(f.bytes, body...)
			f.payload = body[headers:size]
		}
		if err := each(f); err != nil {
			return err
		}
	}
}

// parse reads the control line; size is -1 where no payload follows.
func (f *frame) parse() (size, headers int, err error) {
	words := bytes.Fields(f.bytes)
	if len(words) == 0 {
		return -1, 0, nil
	}
	f.verb = string(bytes.ToUpper(words[0]))
	var more int // fields behind those that are always there
	switch f.verb {
	case "PUB": // subject [reply] size
		more = len(words) - 3
	case "HPUB": // subject [reply] headers size
		more = len(words) - 4
	case "MSG": // subject sid [reply] size
		more = len(words) - 4
	case "HMSG": // subject sid [reply] headers size
		more = len(words) - 5
	default:
		return -1, 0, nil
	}
	if more < 0 || more > 1 {
		return 0, 0, fmt.Errorf("a %s of %d words", f.verb, len(words))
	}
	f.subject = string(words[1])
	if f.verb == "MSG" || f.verb == "HMSG" {
		if f.subject = ""; more == 1 {
			f.reply = string(words[3])
		}
	}
	if size, err = strconv.Atoi(string(words[len(words)-1])); err != nil {
		return 0, 0, fmt.Errorf("the size of a %s: %w", f.verb, err)
	}
	if f.verb[0] == 'H' {
		if headers, err = strconv.Atoi(string(words[len(words)-2])); err != nil || headers > size {
			return 0, 0, fmt.Errorf("the headers of a %s: %d of %d", f.verb, headers, size)
		}
	}
	return size, headers, nil
}
