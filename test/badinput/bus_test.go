// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// driveBus publishes each message as the user that may publish on its subject,
// by lines of
//
//	user: NAME
//	subject: SUBJECT          where it isn't that of the event
//	from: TYPE                a good event of that type, to be edited: the last one of
//	                          the input's application, or one of nobody's
//	header: NAME: VALUE
//	edit: set POINTER JSON    ${APPLICATION:TYPE:POINTER} in it is a part of another event
//	edit: unset POINTER
//	edit: prefix bytes HEX
//	edit: prefix-member TEXT  behind the first brace
//	edit: base64              data becomes data_base64
//	replace: TOKEN TEXT…      in body and headers, generated as in [Input.Tree]
//	then: sync                everything is asked to look now, once it is published
func driveBus(t *testing.T, s *stage, inputs []Input) {
	carriers := s.listenForBaggage(t)
	s.each(t, inputs, s.hears)
	if t.Failed() {
		return
	}
	s.silent(t, inputs)
	for _, in := range inputs {
		if in.Name == "baggage" {
			carriers.alone(t, in)
		}
	}
}

// hears publishes an input's message and awaits what is wanted of it.
func (s *stage) hears(t *testing.T, in Input) {
	if in.isApplication() {
		if err := s.await(Input{Want: Want{Event: "convergence.completed"}}, moment{0, time.Now()}, rig.Of("convergence.completed", in.ID())); err != nil {
			t.Fatal(err)
		}
	}
	since := s.now()
	place, err := s.publish(s.alive, in)
	if in.Want.Status != 0 {
		refused := new(jetstream.APIError)
		if !errors.As(err, &refused) || refused.Code != in.Want.Status || !strings.Contains(err.Error(), in.Want.Says[0]) {
			t.Errorf("the bus took it, or says %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := s.then(s.alive, in); err != nil {
		t.Fatal(err)
	}
	switch in.Want.Event {
	case "none":
		s.silences.add(in, since.mark, place)
	case "convergence.completed": // what is put right before anybody hears of it needs no word
		s.goesOn(t, in)
		s.live(t, in)
	default:
		s.answers(t, in, since, place)
	}
}

// answers awaits what is said of a message, and that its application goes on.
func (s *stage) answers(t *testing.T, in Input, since moment, place uint64) {
	t.Helper()
	err := s.await(in, since, func(e rig.Seen) bool {
		if d, ok := e.Data.(*events.MessageRejected); ok {
			return d.Stored == place
		}
		return e.Application == in.ID() && e.Type.Name() == in.Want.Event
	})
	if err != nil {
		t.Error(err)
	}
	switch events.Reason(in.Want.Reason) {
	case events.ReasonQuarantined:
		s.newer(t, in, nil, func(e rig.Seen, commit string) bool {
			d, ok := e.Data.(*events.ManifestsRendered)
			return ok && d.Revision.Commit == commit && d.RecoveredFrom != 0
		})
	case events.ReasonIntegrity:
		s.goesOn(t, in)
	}
	s.live(t, in)
}

// carriers are the subjects of the messages on the bus that carry baggage.
type carriers struct {
	mu       sync.Mutex
	subjects []string
}

// listenForBaggage hears every message as a reader does, with its headers.
func (s *stage) listenForBaggage(t *testing.T) *carriers {
	t.Helper()
	conn, err := s.Connect("reader")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	c := &carriers{}
	_, err = conn.Subscribe(events.Root+".>", func(m *nats.Msg) {
		if !strings.Contains(fmt.Sprint(m.Header), "bag=x") && !bytes.Contains(m.Data, []byte("bag=x")) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subjects = append(c.subjects, m.Subject)
	})
	if err == nil {
		err = conn.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// alone wants an input's own message to be the only one with its baggage: what
// follows from it carries none.
func (c *carriers) alone(t *testing.T, in Input) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	own := events.TypeNamed("sync.requested").Subject(events.Address{Application: in.ID()})
	if !slices.Equal(c.subjects, []string{own}) {
		t.Errorf("%s: baggage is carried by %q, want it by its own message alone, %s", in.ID(), c.subjects, own)
	}
}

// silent shows of what was wanted to be taken without a word that it harmed
// nothing; that nothing was said is judged at the end.
func (s *stage) silent(t *testing.T, inputs []Input) {
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	if err := s.Drained(ctx); err != nil {
		t.Error(err)
	}
	for _, in := range inputs {
		if in.Want.Event == "none" {
			s.live(t, in)
		}
	}
}

// goesOn shows of an application of which a bundle was forged that a newer
// revision converges.
func (s *stage) goesOn(t *testing.T, in Input) {
	t.Helper()
	object := Entry{"deploy/newer.yaml", "100644", []byte("{apiVersion: v1, kind: ConfigMap, metadata: {name: newer}}\n")}
	s.newer(t, in, []Entry{object}, func(e rig.Seen, commit string) bool {
		d, ok := e.Data.(*events.ConvergenceCompleted)
		return ok && e.Application == in.ID() && d.Revision.Commit == commit
	})
}

// newer shows that a newer revision gets through: that it lifts a quarantine, and
// isn't shut out by what was forged.
func (s *stage) newer(t *testing.T, in Input, more []Entry, through func(e rig.Seen, commit string) bool) {
	t.Helper()
	since := s.now()
	entries, err := in.Tree()
	if err != nil {
		t.Fatal(err)
	}
	o := objects{}
	entries = append(append(entries, Entry{"README", "100644", []byte("newer\n")}), more...)
	commit := o.commit(o.tree(entries), "newer")
	if err := o.write(s.corpus.Bare, map[string]string{"refs/heads/" + in.ID(): commit}); err != nil {
		t.Fatal(err)
	}
	if err := s.Ring(s.alive, s.corpus); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	_, err = s.Bus.Wait(ctx, since.mark, func(e rig.Seen) bool { return through(e, commit) })
	if err != nil {
		t.Errorf("the newer revision doesn't get through: %v", err)
	}
}

// publish publishes an input's message and returns its place in the log.
func (s *stage) publish(ctx context.Context, in Input) (uint64, error) {
	m := &nats.Msg{Header: nats.Header{}}
	user, err := s.compose(in, m)
	if err != nil {
		return 0, err
	}
	conn, err := s.Connect(user)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ack, err := js.PublishMsg(ctx, m)
	if err != nil {
		return 0, fmt.Errorf("publish on %s as %s: %w", m.Subject, user, err)
	}
	return ack.Sequence, nil
}

// then asks everything to look now, where an input's message says so.
func (s *stage) then(ctx context.Context, in Input) error {
	if !strings.Contains(in.Parts["message"], "then: sync\n") {
		return nil
	}
	return s.lookNow(ctx, in)
}

// lookNow asks everything to look at an input's application.
func (s *stage) lookNow(ctx context.Context, in Input) error {
	conn, err := s.Connect("operator")
	if err != nil {
		return err
	}
	defer conn.Close()
	e := events.Event{
		Type: events.TypeNamed("sync.requested"), Address: events.Address{Application: in.ID()}, ID: in.ownID() + "-sync", Time: time.Now(),
		Source: events.Source("operator", ""), Data: &events.SyncRequested{By: "nobody"},
	}
	headers, body, err := events.Encode(e)
	if err != nil {
		return err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	m := &nats.Msg{Subject: e.Type.Subject(e.Address), Header: nats.Header{}, Data: body}
	for key, values := range headers {
		m.Header[key] = values
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err = js.PublishMsg(ctx, m)
	return err
}

// compose writes an input's message.
func (s *stage) compose(in Input, m *nats.Msg) (user string, err error) {
	var subject string
	var replace []string
	for line := range strings.Lines(in.Parts["message"]) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch key {
		case "user":
			user = value
		case "subject":
			subject = value
		case "from":
			err = s.template(in, value, m)
		case "header":
			name, text, _ := strings.Cut(value, ": ")
			m.Header[name] = append(m.Header[name], text)
		case "edit":
			m.Data, err = s.edit(m.Data, value)
		case "replace":
			replace = append(replace, value)
		case "then": // see [stage.then]
		default:
			err = fmt.Errorf("message: unknown key %q", key)
		}
		if err != nil {
			return "", err
		}
	}
	if text, err := in.Text("body"); err == nil {
		m.Data = []byte(text)
	}
	if subject != "" {
		m.Subject = subject
	}
	for _, r := range replace {
		args, err := words(r)
		if err != nil {
			return "", err
		}
		text, err := generated(args[1:])
		if err != nil {
			return "", err
		}
		m.Data = []byte(strings.ReplaceAll(string(m.Data), args[0], string(text)))
		for _, values := range m.Header {
			for i := range values {
				values[i] = strings.ReplaceAll(values[i], args[0], string(text))
			}
		}
	}
	return user, nil
}

// ownID is the id of the event that an input is.
func (in Input) ownID() string { return "bad-" + in.ID() }

// template writes a good event.
func (s *stage) template(in Input, name string, m *nats.Msg) error {
	t := events.TypeNamed(name)
	e := events.Event{
		Type: t, Address: events.Address{Application: in.ID(), Cluster: "local"}, ID: in.ownID(), Time: time.Now(),
		Source: events.Source("operator", ""),
	}
	switch name {
	case "sync.requested":
		e.Cluster = ""
		e.Data = &events.SyncRequested{By: "nobody"}
	case "approval.given":
		e.Data = &events.ApprovalGiven{Hold: "sha256:" + strings.Repeat("0", 64), By: "nobody"}
	case "divergence.detected":
		e.Key = strings.Repeat("0", 32)
		e.Data = &events.DivergenceDetected{Divergence: events.Divergence{
			Key: e.Key, Kind: events.DivergenceChanged, Since: e.Time, Heal: true, Message: "not so",
			Object: &events.Object{Version: "v1", Kind: "ConfigMap", Namespace: "healthy", Name: "healthy"},
		}}
	default:
		last, err := s.last(in.ID(), name)
		if err != nil {
			return err
		}
		last.ID = e.ID
		e = last
	}
	headers, body, err := events.Encode(e)
	if err != nil {
		return err
	}
	m.Subject, m.Data = t.Subject(e.Address), body
	for key, values := range headers {
		m.Header[key] = values
	}
	return nil
}

// last is the last event of a type of an application.
func (s *stage) last(application, name string) (events.Event, error) {
	all := s.Bus.Since(0)
	for i := len(all) - 1; i >= 0; i-- {
		if e := all[i]; e.Application == application && e.Type.Name() == name {
			return e.Event, nil
		}
	}
	return events.Event{}, fmt.Errorf("there is no %s of %s", name, application)
}

// edit changes the JSON of an event.
func (s *stage) edit(data []byte, how string) ([]byte, error) {
	op, rest, _ := strings.Cut(how, " ")
	switch op {
	case "prefix":
		text, err := hex.DecodeString(strings.TrimPrefix(rest, "bytes "))
		return append(text, data...), err
	case "prefix-member":
		return append([]byte("{"+rest), data[1:]...), nil
	}
	var body map[string]any
	if err := json.Unmarshal(data, &body); err != nil {
		return nil, err
	}
	pointer, text, _ := strings.Cut(rest, " ")
	switch op {
	case "set":
		value, err := s.value(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", how, err)
		}
		put(body, pointer, value)
	case "unset":
		put(body, pointer, nil)
	case "base64":
		plain, err := json.Marshal(body["data"])
		if err != nil {
			return nil, err
		}
		body["data_base64"] = base64.StdEncoding.EncodeToString(plain)
		delete(body, "data")
	default:
		return nil, fmt.Errorf("unknown edit %q", how)
	}
	return json.Marshal(body)
}

// value reads JSON, or ${APPLICATION:TYPE:POINTER}.
func (s *stage) value(text string) (any, error) {
	var value any
	inner, ok := strings.CutPrefix(text, "${")
	if !ok {
		return value, json.Unmarshal([]byte(text), &value)
	}
	words := strings.SplitN(strings.TrimSuffix(inner, "}"), ":", 3)
	if len(words) != 3 {
		return nil, fmt.Errorf("want ${application:type:pointer}")
	}
	e, err := s.last(words[0], words[1])
	if err != nil {
		return nil, err
	}
	_, data, err := events.Encode(e)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &value); err != nil {
		return nil, err
	}
	return at(value, words[2]), nil
}

// put sets what a JSON pointer leads to, in mappings that are there; nil where
// text says unset removes it.
func put(body map[string]any, pointer string, value any) {
	parts := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for _, part := range parts[:len(parts)-1] {
		next, ok := body[part].(map[string]any)
		if !ok {
			return
		}
		body = next
	}
	if last := parts[len(parts)-1]; value == nil && last == "id" {
		delete(body, last)
	} else {
		body[last] = value
	}
}
