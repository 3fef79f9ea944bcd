// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// message is a CloudEvent taken out of either content mode.
type message struct {
	attributes map[string]string
	data       []byte
}

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
	m, err := open(headers, body)
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
	e.Data = t.New()
	if err := decodeData(m.data, e.Data); err != nil {
		return Event{}, err
	}
	if p, ok := e.Data.(agreeing); ok {
		if err := p.agrees(address); err != nil {
			return Event{}, fmt.Errorf("%w: %w", ErrWrongSubject, err)
		}
	}
	return e, nil
}

// open tells the content mode by the Content-Type header, as the CloudEvents
// bindings do: a CloudEvents media type means structured, everything else
// binary.
func open(headers map[string][]string, body []byte) (message, error) {
	attributes, contentType, size, err := readHeaders(headers)
	if err != nil {
		return message{}, err
	}
	if size+len(body) > MaxSize {
		return message{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, size+len(body))
	}
	if !utf8.Valid(body) {
		return message{}, fmt.Errorf("%w: the body is no UTF-8", ErrMalformed)
	}
	if !strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents") {
		return openBinary(attributes, contentType, body)
	}
	if err := checkMediaType(contentType, func(media string) bool { return media == ContentType }); err != nil {
		return message{}, err
	}
	if len(attributes) > 0 {
		return message{}, fmt.Errorf("%w: both structured and binary", ErrMalformed)
	}
	return openStructured(body)
}

// readHeaders returns the ce- headers, percent-decoded, by lower-case name;
// the content type; and how many bytes both take.
func readHeaders(headers map[string][]string) (attributes map[string]string, contentType string, size int, err error) {
	attributes = map[string]string{}
	seen := false
	for key, values := range headers {
		name := strings.ToLower(key)
		attribute, ce := strings.CutPrefix(name, "ce-")
		if !ce && name != "content-type" {
			continue
		}
		for _, v := range values {
			size += len(key) + len(v)
		}
		if _, twice := attributes[attribute]; len(values) != 1 || ce && twice || !ce && seen {
			return nil, "", 0, fmt.Errorf("%w: header %s is there more than once", ErrMalformed, quote(name))
		}
		if !ce {
			contentType, seen = strings.TrimSpace(values[0]), true
			continue
		}
		if !validAttributeName(attribute) {
			return nil, "", 0, fmt.Errorf("%w: header name %s", ErrMalformed, quote(name))
		}
		if attributes[attribute], err = decodeHeader(values[0]); err != nil {
			return nil, "", 0, fmt.Errorf("%w: header %s: %w", ErrMalformed, quote(name), err)
		}
	}
	return attributes, contentType, size, nil
}

func validAttributeName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// decodeHeader undoes the percent-encoding of header values
// (CloudEvents HTTP binding, section 3.1.3.2, which the NATS binding shares).
func decodeHeader(v string) (string, error) {
	plain, err := url.PathUnescape(v)
	if err != nil {
		return "", errors.New("bad percent-encoding")
	}
	if !utf8.ValidString(plain) {
		return "", errors.New("not UTF-8")
	}
	return plain, nil
}

// openBinary takes datacontenttype from its ce- header, as the NATS binding
// has it, or from Content-Type, as SDKs write it.
func openBinary(attributes map[string]string, contentType string, body []byte) (message, error) {
	if len(attributes) == 0 {
		return message{}, fmt.Errorf("%w: neither Content-Type %s nor ce- headers", ErrMalformed, ContentType)
	}
	declared, ok := attributes["datacontenttype"]
	if !ok {
		attributes["datacontenttype"] = contentType
	} else if contentType != "" && contentType != declared {
		return message{}, fmt.Errorf("%w: two content types", ErrMalformed)
	}
	if _, err := readJSON(body); err != nil {
		return message{}, err
	}
	return message{attributes, body}, nil
}

// openStructured reads the JSON event format.
func openStructured(body []byte) (message, error) {
	members, err := readJSON(body)
	if err != nil {
		return message{}, err
	}
	if members == nil {
		return message{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	m := message{attributes: make(map[string]string, len(members))}
	var base64Data []byte
	for _, x := range members {
		switch x.name {
		case "data":
			m.data = x.value
			continue
		case "data_base64":
			base64Data = x.value
			continue
		}
		text, null, ok := attributeText(x.value)
		if !ok {
			return message{}, fmt.Errorf("%w: attribute %s has a type that CloudEvents doesn't have", ErrMalformed, quote(x.name))
		}
		if !null { // which is the same as absent
			m.attributes[x.name] = text
		}
	}
	if base64Data == nil {
		return m, nil
	}
	if m.data != nil {
		return message{}, fmt.Errorf("%w: both data and data_base64", ErrMalformed)
	}
	m.data, err = decodeBase64(base64Data)
	return m, err
}

func decodeBase64(raw []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("%w: data_base64 is no string", ErrMalformed)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: data_base64 holds no JSON", ErrMalformed)
	}
	_, err = readJSON(data)
	return data, err
}

// attributeText is the canonical text of an attribute's value.
func attributeText(raw []byte) (text string, null, ok bool) {
	switch raw[0] {
	case '"':
		text, ok = unquote(raw)
		return text, false, ok
	case '{', '[':
		return "", false, false
	}
	text = string(raw)
	return text, text == "null", json.Valid(raw)
}

// belongs holds a message against the subject that it came on.
func (m message) belongs(t *Type, a Address) error {
	switch version, ok := m.attributes["specversion"]; {
	case !ok:
		return fmt.Errorf("%w: no specversion", ErrMalformed)
	case version != cloudevents.CloudEventsVersionV1:
		return fmt.Errorf("%w: CloudEvents %s", ErrVersion, quote(version))
	}
	switch name := m.attributes["type"]; {
	case name == "":
		return fmt.Errorf("%w: no type", ErrMalformed)
	case name == t.CloudEvent():
	case ofOtherVersion(name):
		return fmt.Errorf("%w: %s", ErrVersion, quote(name))
	default:
		return fmt.Errorf("%w: its type is %s", ErrWrongSubject, quote(name))
	}
	if got := m.attributes["subject"]; got != a.Application {
		return fmt.Errorf("%w: it is about application %s", ErrWrongSubject, quote(got))
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
		ID: a["id"], Source: a["source"], Epoch: a[extEpoch],
		CorrelationID: a[extCorrelationID], CausationID: a[extCausationID],
		// Nothing is decided by the stage: what can't be read is left out.
		StageStart: parseTime(a[extStageStart]), StageEnd: parseTime(a[extStageEnd]),
		Version: a[extVersion],
	}
	for _, required := range []string{"id", "source", "time"} {
		if a[required] == "" {
			return Event{}, fmt.Errorf("%w: no %s", ErrMalformed, required)
		}
	}
	for _, name := range []string{"id", "source", extEpoch, extCorrelationID, extCausationID} {
		if err := checkAttribute(a[name]); err != nil {
			return Event{}, fmt.Errorf("%w: %s: %w", ErrMalformed, name, err)
		}
	}
	if u, err := url.Parse(e.Source); err != nil || u.String() != e.Source {
		return Event{}, fmt.Errorf("%w: source is no URI", ErrMalformed)
	}
	var err error
	if e.Time = parseTime(a["time"]); e.Time.IsZero() {
		return Event{}, fmt.Errorf("%w: time is no RFC 3339", ErrMalformed)
	}
	if e.Sequence, err = parseSequence(a[extSequence]); err != nil {
		return Event{}, fmt.Errorf("%w: sequence is no number", ErrMalformed)
	}
	if trace := a[extTraceparent]; validTraceparent(trace) {
		e.Traceparent = trace
	}
	return e, checkDataType(a["datacontenttype"])
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

func checkDataType(contentType string) error {
	if contentType == "" {
		return nil
	}
	return checkMediaType(contentType, func(media string) bool {
		return media == "application/json" || strings.HasSuffix(media, "+json")
	})
}

func checkMediaType(contentType string, allowed func(string) bool) error {
	if contentType == ContentType || contentType == cloudevents.ApplicationJSON { // without parameters, most often
		if allowed(contentType) {
			return nil
		}
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
func decodeData(data []byte, p Payload) error {
	if trimmed := bytes.TrimLeft(data, " \t\r\n"); !bytes.HasPrefix(trimmed, []byte("{")) {
		return fmt.Errorf("%w: data is no JSON object", ErrMalformed)
	}
	if err := jsonv1.Unmarshal(data, p); err != nil {
		return fmt.Errorf("%w: data: %w", ErrMalformed, redact(err))
	}
	return nil
}

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
