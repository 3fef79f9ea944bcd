// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"strconv"
	"strings"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	jsonv2 "github.com/go-json-experiment/json"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// Decode reads a message as it came from the bus, in structured or in binary
// mode. stored is its sequence in the log, 0 where it isn't from there.
//
// Unknown fields and extensions are ignored; a malformed traceparent or stage
// is dropped. Everything else that is not in order is an error that wraps one
// of [ErrMalformed], [ErrWrongSubject], [ErrVersion] and [ErrTooLarge];
// [ReasonOf] classifies it. Its text quotes little of the message.
func Decode(subject string, headers map[string][]string, body []byte, stored uint64) (Event, error) {
	e, err := decode(subject, headers, body, stored)
	if err != nil {
		return Event{}, fmt.Errorf("decode event %d on %s: %w", stored, quote(subject), err)
	}
	return e, nil
}

func decode(subject string, headers map[string][]string, body []byte, stored uint64) (Event, error) {
	t, address, err := ParseSubject(subject)
	if err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrWrongSubject, err)
	}
	space := rooms.Get().(*room)
	defer space.leave()
	m, err := open(headers, body, space)
	if err != nil {
		return Event{}, err
	}
	if err := m.belongs(t, address); err != nil {
		return Event{}, err
	}
	e, err := m.envelope()
	if err != nil {
		return Event{}, err
	}
	e.Type, e.Address, e.Stored = t, address, stored
	if t.placesRevision() {
		e.Sequence = stored
	}
	if e.Data, err = decodeData(m.data, t); err != nil {
		return Event{}, err
	}
	if p, ok := e.Data.(agreeing); ok {
		if err := p.agrees(address); err != nil {
			return Event{}, fmt.Errorf("%w: %w", ErrWrongSubject, err)
		}
	}
	return e, nil
}

// belongs holds a message against the subject that it came on.
func (m message) belongs(t *Type, a Address) error {
	switch version, ok := m.attributes.find("specversion"); {
	case !ok:
		return fmt.Errorf("%w: no specversion", ErrMalformed)
	case string(version) != cloudevents.CloudEventsVersionV1:
		return fmt.Errorf("%w: CloudEvents %s", ErrVersion, quote(string(version)))
	}
	switch name := m.attributes.get("type"); {
	case len(name) == 0:
		return fmt.Errorf("%w: no type", ErrMalformed)
	case byCloudEvent[string(name)] == t:
	case ofOtherVersion(string(name)):
		return fmt.Errorf("%w: %s", ErrVersion, quote(string(name)))
	default:
		return fmt.Errorf("%w: its type is %s", ErrWrongSubject, quote(string(name)))
	}
	if got := m.attributes.get("subject"); string(got) != a.Application {
		return fmt.Errorf("%w: it is about application %s", ErrWrongSubject, quote(string(got)))
	}
	return nil
}

// ofOtherVersion reports whether name is one of our types but for its major
// version: dev.plumbline.<noun>.<verb>.v<n>.
func ofOtherVersion(name string) bool {
	rest, ours := strings.CutPrefix(name, "dev.plumbline.")
	i := strings.LastIndex(rest, ".v")
	if !ours || i < 0 {
		return false
	}
	n, err := strconv.ParseUint(rest[i+2:], 10, 32)
	return err == nil && n != 1
}

// envelope reads every attribute but those that the subject decides.
func (m message) envelope() (Event, error) {
	a := m.attributes
	e := Event{
		ID: string(a.get("id")), Source: string(a.get("source")), Epoch: string(a.get(extEpoch)),
		CorrelationID: string(a.get(extCorrelationID)), CausationID: string(a.get(extCausationID)),
		// Nothing is decided by the stage: what can't be read is left out.
		StageStart: parseTime(string(a.get(extStageStart))), StageEnd: parseTime(string(a.get(extStageEnd))),
		Version: string(a.get(extVersion)),
	}
	for _, required := range []string{"id", "source", "time"} {
		if len(a.get(required)) == 0 {
			return Event{}, fmt.Errorf("%w: no %s", ErrMalformed, required)
		}
	}
	for _, x := range []struct{ name, value string }{
		{"id", e.ID},
		{"source", e.Source},
		{extEpoch, e.Epoch},
		{extCorrelationID, e.CorrelationID},
		{extCausationID, e.CausationID},
	} {
		if err := checkAttribute(x.value); err != nil {
			return Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, x.name, err)
		}
	}
	if !canonicalURI(e.Source) {
		return Event{}, fmt.Errorf("%w: source is no URI", ErrMalformed)
	}
	var err error
	if e.Time = parseTime(string(a.get("time"))); e.Time.IsZero() {
		return Event{}, fmt.Errorf("%w: time is no RFC 3339", ErrMalformed)
	}
	if e.Sequence, err = parseSequence(string(a.get(extSequence))); err != nil {
		return Event{}, fmt.Errorf("%w: sequence is no number", ErrMalformed)
	}
	if trace := string(a.get(extTraceparent)); validTraceparent(trace) {
		e.Traceparent = trace
	}
	return e, checkDataType(a.get("datacontenttype"))
}

// parseTime reads RFC 3339; it is zero for what can't be read, or not be written
// again.
func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !writable(t) {
		return time.Time{}
	}
	return t.UTC()
}

func checkDataType(contentType []byte) error {
	switch string(contentType) {
	case "", cloudevents.ApplicationJSON: // without parameters, most often
		return nil
	}
	return checkMediaType(string(contentType), func(media string) bool {
		return media == "application/json" || strings.HasSuffix(media, "+json")
	})
}

func checkMediaType(contentType string, allowed func(string) bool) error {
	if contentType == ContentType && allowed(contentType) { // without parameters, most often
		return nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || !allowed(media) {
		return fmt.Errorf("%w: content type %s", ErrMalformed, quote(contentType))
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return fmt.Errorf("%w: charset %s", ErrMalformed, quote(charset))
	}
	return nil
}

// decodeData reads a payload as encoding/json does, with the library that becomes
// its next version: each event is read by several services, and this takes less
// than half of the time.
//
// To give the errors of encoding/json, too, that library goes through the whole text
// before it reads it. That is left to the text that can't be read without.
func decodeData(data []byte, t *Type) (Payload, error) {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); !bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, fmt.Errorf("%w: data is no JSON object", ErrMalformed)
	}
	p := t.New()
	if jsonv2.Unmarshal(data, p, atOnce) == nil {
		return p, nil
	}
	p = t.New() // without what was read up to the fault
	if err := jsonv1.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%w: data: %w", ErrMalformed, redact(err))
	}
	return p, nil
}

// atOnce has a text read as encoding/json does, up to the first fault.
var atOnce = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsonv1.ReportErrorsWithLegacySemantics(false))

// redact keeps of a JSON error what names the place, not what stands there.
func redact(err error) error {
	var wrongType *jsonv1.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Errorf("field %s is no %s", quote(wrongType.Field), wrongType.Type)
	}
	return errors.New(quote(err.Error()))
}

// quote is text from a message as an error may show it: short, one line.
func quote(s string) string {
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strconv.Quote(s)
}
