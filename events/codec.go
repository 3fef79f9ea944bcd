// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
)

const (
	// ContentType is the Content-Type header of every event that [Encode]
	// writes: the JSON event format of CloudEvents 1.0, structured mode.
	ContentType = "application/cloudevents+json"

	// MaxSize is how large an encoded event may be, in bytes, its CloudEvents
	// headers included. Larger things travel as blobs.
	MaxSize = 64 << 10

	// maxAttribute caps each attribute that goes on into other events, logs
	// and metrics: id, source, epoch, correlation and causation.
	maxAttribute = 1024
)

// Names of the extension attributes. CloudEvents allows lower-case letters and
// digits alone.
const (
	extEpoch         = "epoch"
	extSequence      = "sequence" // decimal, padded to 20 digits: text order is number order
	extTraceparent   = "traceparent"
	extCorrelationID = "correlationid"
	extCausationID   = "causationid"
	extPartitionKey  = "partitionkey"
	extStageStart    = "stagestart"
	extStageEnd      = "stageend"
	extVersion       = "emitterversion"
)

var (
	// ErrInvalid says that an event of our own is incomplete or contradicts
	// itself: a fault of the program that made it.
	ErrInvalid = errors.New("invalid event")
	// ErrTooLarge says that an event is over [MaxSize].
	ErrTooLarge = errors.New("event is larger than 64 KiB")
	// ErrMalformed says that a message is no event that can be read.
	ErrMalformed = errors.New("malformed event")
	// ErrWrongSubject says that a message is not what its subject says. The
	// subject is the authority: the bus grants rights by it.
	ErrWrongSubject = errors.New("event on the wrong subject")
	// ErrVersion says that an event, or its envelope, is of a major version
	// that this program doesn't know.
	ErrVersion = errors.New("unknown version of an event")
)

// ReasonOf is the code under which an error of [Decode] is published.
func ReasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrVersion):
		return ReasonVersion
	case errors.Is(err, ErrWrongSubject):
		return ReasonWrongSubject
	default:
		return ReasonBadEvent
	}
}

// Source is the source attribute of what a service publishes:
// plumbline://<service>[/<cluster>].
func Source(service, cluster string) string {
	u := url.URL{Scheme: "plumbline", Host: EncodeToken(service)}
	if cluster != "" {
		u.Path = "/" + EncodeToken(cluster)
	}
	return u.String()
}

// Encode writes e as a structured CloudEvent: the message's headers and its
// body. What it writes is a function of e alone, and what [Decode] read is
// written again byte by byte.
//
// The sequence of a commit.observed is left out: it is the place in the log
// that the event is about to get. Errors wrap [ErrInvalid] or [ErrTooLarge].
func Encode(e Event) (headers map[string][]string, body []byte, err error) {
	if err := e.check(); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	data, err := encodeData(e.Data)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, e.Type.Name(), err)
	}
	ce, err := envelope(e)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, e.Type.Name(), err)
	}
	ce.DataEncoded = data
	var out bytes.Buffer
	if err := cloudevents.WriteJson(&ce, &out); err != nil {
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrInvalid, e.Type.Name(), err)
	}
	if out.Len() > MaxSize {
		return nil, nil, fmt.Errorf("%w: %s has %d bytes", ErrTooLarge, e.Type.Name(), out.Len())
	}
	return map[string][]string{"Content-Type": {ContentType}}, out.Bytes(), nil
}

// encodeData writes a payload as compact JSON, < and & as they are, since
// people read it.
func encodeData(p Payload) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func envelope(e Event) (cloudevents.Event, error) {
	ce := cloudevents.New(cloudevents.CloudEventsVersionV1)
	ce.SetID(e.ID)
	ce.SetSource(e.Source)
	ce.SetType(e.Type.CloudEvent())
	ce.SetTime(e.Time)
	ce.SetDataSchema(e.Type.Schema())
	ce.SetDataContentType(cloudevents.ApplicationJSON)
	if e.Application != "" {
		ce.SetSubject(e.Application)
	}
	for _, x := range []struct{ name, value string }{
		{extEpoch, e.Epoch},
		{extSequence, formatSequence(e)},
		{extTraceparent, e.Traceparent},
		{extCorrelationID, e.CorrelationID},
		{extCausationID, e.CausationID},
		{extPartitionKey, e.Application},
		{extStageStart, formatTime(e.StageStart)},
		{extStageEnd, formatTime(e.StageEnd)},
		{extVersion, e.Version},
	} {
		if x.value != "" {
			ce.SetExtension(x.name, x.value)
		}
	}
	return ce, ce.Validate()
}

func formatSequence(e Event) string {
	if e.Sequence == 0 || e.Type.placesRevision() {
		return ""
	}
	return fmt.Sprintf("%020d", e.Sequence)
}

func parseSequence(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	return strconv.ParseUint(s, 10, 64)
}

// placesRevision says that an event's own place in the log is the sequence of
// the revision that it announces.
func (t *Type) placesRevision() bool { return t.Noun == "commit" && t.Verb == "observed" }

func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// writable reports whether RFC 3339 can tell t.
func writable(t time.Time) bool {
	y := t.UTC().Year()
	return y >= 1 && y <= 9999
}

// check is what is demanded of our own events beyond their Go types.
func (e Event) check() error {
	if e.Type == nil {
		return errors.New("no type")
	}
	if err := e.checkData(); err != nil {
		return fmt.Errorf("%s: %w", e.Type.Name(), err)
	}
	if err := e.Type.fits(e.Address); err != nil {
		return fmt.Errorf("%s: %w", e.Type.Name(), err)
	}
	if err := e.checkAttributes(); err != nil {
		return fmt.Errorf("%s: %w", e.Type.Name(), err)
	}
	return nil
}

func (e Event) checkData() error {
	if e.Data == nil || reflect.ValueOf(e.Data).IsNil() {
		return errors.New("no data")
	}
	if reflect.TypeOf(e.Data) != reflect.TypeOf(e.Type.Payload) {
		return fmt.Errorf("data is a %T", e.Data)
	}
	if p, ok := e.Data.(agreeing); ok {
		if err := p.agrees(e.Address); err != nil {
			return err
		}
	}
	if p, ok := e.Data.(bounded); ok {
		return p.bounds()
	}
	return nil
}

func (e Event) checkAttributes() error {
	switch {
	case e.ID == "":
		return errors.New("no id")
	case e.Source == "":
		return errors.New("no source")
	case e.Time.IsZero():
		return errors.New("no time")
	case e.Traceparent != "" && !validTraceparent(e.Traceparent):
		return errors.New("malformed traceparent")
	}
	if !canonicalURI(e.Source) {
		return errors.New("source is no canonical URI")
	}
	for name, t := range map[string]time.Time{"time": e.Time, extStageStart: e.StageStart, extStageEnd: e.StageEnd} {
		if !writable(t) {
			return fmt.Errorf("%s is in the year %d", name, t.UTC().Year())
		}
	}
	for name, value := range map[string]string{
		"id": e.ID, "source": e.Source, "subject": e.Application, extEpoch: e.Epoch,
		extCorrelationID: e.CorrelationID, extCausationID: e.CausationID, extVersion: e.Version,
	} {
		if err := checkAttribute(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// canonicalURI reports whether s is a URI, written as [net/url] writes it.
func canonicalURI(s string) bool {
	rest, ours := strings.CutPrefix(s, "plumbline://")
	service, cluster, _ := strings.Cut(rest, "/")
	if ours && service != "" && plain(service) && plain(cluster) {
		return true // as Source makes them
	}
	u, err := url.Parse(s)
	return err == nil && u.String() == s
}

// checkAttribute refuses what CloudEvents forbids in a string (control
// characters, what is no UTF-8) and what is too long to carry along.
func checkAttribute(s string) error {
	if len(s) > maxAttribute {
		return fmt.Errorf("longer than %d bytes", maxAttribute)
	}
	if !utf8.ValidString(s) {
		return errors.New("not UTF-8")
	}
	for _, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("control character %U", r)
		}
	}
	return nil
}

// validTraceparent reports whether s is a traceparent of version 00 with trace
// and parent (https://www.w3.org/TR/trace-context/#traceparent-header).
func validTraceparent(s string) bool {
	const zeros = "00000000000000000000000000000000"
	if len(s) != 55 || s[:3] != "00-" || s[35] != '-' || s[52] != '-' {
		return false
	}
	trace, parent, flags := s[3:35], s[36:52], s[53:]
	for _, part := range []string{trace, parent, flags} {
		for i := 0; i < len(part); i++ {
			if c := part[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return trace != zeros && parent != zeros[:16]
}
