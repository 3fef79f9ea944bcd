// SPDX-License-Identifier: Apache-2.0

package events

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Root is the first two tokens of every event's subject.
const Root = "plumbline.v1"

// Address is where an event lives: the variable tokens of its subject, as
// plain text. Empty means none and is written "_".
type Address struct {
	Cluster, Application, Key string
}

// Subject is the NATS subject of an event of type t at a:
// plumbline.v1.<noun>.<verb>.<cluster>.<application>[.<key>].
func (t *Type) Subject(a Address) string {
	s := Root + "." + t.Noun + "." + t.Verb + "." + EncodeToken(a.Cluster) + "." + EncodeToken(a.Application)
	if t.Scope == ScopeKey {
		s += "." + EncodeToken(a.Key)
	}
	return s
}

// Filter is the subject that matches every event of type t in a cluster;
// cluster "*" matches all clusters.
func (t *Type) Filter(cluster string) string {
	if cluster != "*" {
		cluster = EncodeToken(cluster)
	}
	s := Root + "." + t.Noun + "." + t.Verb + "." + cluster + ".*"
	if t.Scope == ScopeKey {
		s += ".*"
	}
	return s
}

// ErrSubject says that a subject is not one of ours.
var ErrSubject = errors.New("not a subject of Plumbline's events")

// ParseSubject is the inverse of [Type.Subject]. Its error wraps [ErrSubject].
func ParseSubject(subject string) (*Type, Address, error) {
	rest, ok := strings.CutPrefix(subject, Root+".")
	if !ok {
		return nil, Address{}, fmt.Errorf("%w: %s", ErrSubject, quote(subject))
	}
	tokens := slices.AppendSeq(make([]string, 0, 5), strings.SplitSeq(rest, "."))
	if len(tokens) < 4 {
		return nil, Address{}, fmt.Errorf("%w: %s is too short", ErrSubject, quote(subject))
	}
	t := TypeNamed(tokens[0] + "." + tokens[1])
	want := 4
	if t != nil && t.Scope == ScopeKey {
		want = 5
	}
	if t == nil || len(tokens) != want {
		return nil, Address{}, fmt.Errorf("%w: %s", ErrSubject, quote(subject))
	}
	var texts [3]string
	for i, token := range tokens[2:] {
		text, err := DecodeToken(token)
		if err != nil {
			return nil, Address{}, fmt.Errorf("%w: %s: %w", ErrSubject, quote(subject), err)
		}
		texts[i] = text
	}
	a := Address{texts[0], texts[1], texts[2]}
	if err := t.fits(a); err != nil {
		return nil, Address{}, fmt.Errorf("%w: %s: %w", ErrSubject, quote(subject), err)
	}
	return t, a, nil
}

// fits reports whether a has what a subject of type t ends in, and no more:
// an event has one subject.
func (t *Type) fits(a Address) error {
	switch {
	case t.Scope == ScopeKey && a.Key == "":
		return errors.New("no key")
	case t.Scope != ScopeKey && a.Key != "":
		return errors.New("a key, and its subject has none")
	case t.Scope == ScopeCluster && a.Cluster == "":
		return errors.New("no cluster")
	case t.Scope == ScopeCluster && a.Application != "":
		return errors.New("an application, and its subject has none")
	case t.Name() == "sync.requested": // nothing named means everything
		return nil
	case t.Scope == ScopeApplication && (a.Application == "" || a.Cluster == ""):
		return errors.New("no application or no cluster")
	}
	return nil
}

const hexDigits = "0123456789abcdef"

// EncodeToken writes any text as one subject token of [A-Za-z0-9_-]: other
// bytes, and "_" itself, become "_" and two hex digits; the empty text
// becomes "_".
func EncodeToken(text string) string {
	if text == "" {
		return "_"
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if plainByte(c) {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('_')
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&15])
	}
	return b.String()
}

// DecodeToken is the inverse of [EncodeToken]. It refuses every token that
// EncodeToken doesn't write, so that one text has one token.
func DecodeToken(token string) (string, error) {
	if token == "_" {
		return "", nil
	}
	if token == "" {
		return "", errors.New("empty token")
	}
	if plain(token) {
		return token, nil
	}
	var b strings.Builder
	for i := 0; i < len(token); i++ {
		c := token[i]
		if plainByte(c) {
			b.WriteByte(c)
			continue
		}
		if c != '_' || i+2 >= len(token) {
			return "", fmt.Errorf("token %s: byte %d", quote(token), i)
		}
		hi, lo := strings.IndexByte(hexDigits, token[i+1]), strings.IndexByte(hexDigits, token[i+2])
		if hi < 0 || lo < 0 || plainByte(byte(hi<<4|lo)) {
			return "", fmt.Errorf("token %s: escape at byte %d", quote(token), i)
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	return b.String(), nil
}

// plain reports whether text, as a token, stays as it is.
func plain(text string) bool {
	for i := 0; i < len(text); i++ {
		if !plainByte(text[i]) {
			return false
		}
	}
	return true
}

func plainByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}
