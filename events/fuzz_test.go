// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/test/seed"
)

// FuzzDecode: every message is read or refused for one reason, and what is read
// is written in a form that is read the same.
func FuzzDecode(f *testing.F) {
	for _, folder := range []string{".", "rejected", "accepted"} {
		for _, path := range archives(f, folder) {
			m := readWritten(f, path)
			f.Add(m.subject, joinHeaders(m.headers), m.body)
		}
	}
	seed.Each(f, func(file seed.File) {
		f.Add("plumbline.v1.sync.requested._._", joinHeaders(map[string][]string{"Content-Type": {"application/cloudevents+json"}}), file.Data)
	}, "bus")
	f.Fuzz(func(t *testing.T, subject, headers string, body []byte) {
		e, err := events.Decode(subject, splitHeaders(headers), body, 9)
		if err != nil {
			classified(t, err)
			if len(err.Error()) > 2<<10 || !utf8.ValidString(err.Error()) {
				t.Fatalf("an error of %d bytes: %q", len(err.Error()), err)
			}
			return
		}
		written, text, err := events.Encode(e)
		if err != nil {
			if !strings.Contains(err.Error(), events.ErrTooLarge.Error()) && !strings.Contains(err.Error(), "inline") {
				t.Fatalf("read, and can't be written: %v", err)
			}
			return
		}
		again, err := events.Decode(e.Type.Subject(e.Address), written, text, 9)
		if err != nil {
			t.Fatalf("written, and can't be read: %v\n%s", err, text)
		}
		if _, twice, err := events.Encode(again); err != nil || !bytes.Equal(text, twice) {
			t.Fatalf("written twice (%v):\n%s\n%s", err, text, twice)
		}
	})
}

// FuzzParseSubject: what is read as a subject of ours is the one subject of its
// address.
func FuzzParseSubject(f *testing.F) {
	for i := range events.Types {
		typ := &events.Types[i]
		f.Add(typ.Subject(addressFor(typ)))
	}
	for _, x := range hostile {
		f.Add("plumbline.v1.sync.requested._." + x)
		f.Add("plumbline.v1.source.recovered._._." + events.EncodeToken(x))
	}
	f.Fuzz(func(t *testing.T, subject string) {
		typ, a, err := events.ParseSubject(subject)
		if err != nil {
			return
		}
		if got := typ.Subject(a); got != subject {
			t.Errorf("%q is read as %+v, whose subject is %q", subject, a, got)
		}
	})
}

// FuzzToken: any text is one token of a subject, and no other text is.
func FuzzToken(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
		f.Add(events.EncodeToken(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		token := events.EncodeToken(text)
		if strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || token == "" {
			t.Fatalf("%q is written as %q", text, token)
		}
		if back, err := events.DecodeToken(token); err != nil || back != text {
			t.Fatalf("%q is written as %q and read as %q, %v", text, token, back, err)
		}
		if plain, err := events.DecodeToken(text); err == nil && events.EncodeToken(plain) != text {
			t.Fatalf("%q is read as %q, which is written %q", text, plain, events.EncodeToken(plain))
		}
	})
}

func joinHeaders(headers map[string][]string) string {
	var b strings.Builder
	for name, values := range headers {
		for _, v := range values {
			b.WriteString(name + ": " + v + "\n")
		}
	}
	return b.String()
}

func splitHeaders(text string) map[string][]string {
	headers := map[string][]string{}
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			headers[name] = append(headers[name], value)
		}
	}
	return headers
}
