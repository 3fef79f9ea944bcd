// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
)

// maxDepth is how deep the JSON of an event may nest.
const maxDepth = 64

// member is one member of a JSON object: its name and the text of its value, most
// often the very bytes of the object's text.
type member struct{ name, value []byte }

// readJSON refuses text, in UTF-8, that is not one JSON value, in which an object has one
// name twice, since readers differ in which of the two they take, and what
// nests too deep. It returns the members of the value, nil where it is no
// object.
//
// Every service reads every event several times: it goes through the text
// once, and leaves to whoever decodes a scalar whether that is one. Its members
// are good for as long as space is the caller's.
func readJSON(text []byte, space *room) ([]member, error) {
	r := reader{text: text, space: space, names: space.names[:0]}
	err := r.value()
	if err == nil && r.peek() != 0 {
		err = errNotJSON
	}
	if err == nil && r.at < len(text) { // a NUL is no space
		err = errNotJSON
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return r.members, nil
}

// room is where the names and members of one text go, as many as most have. Whoever
// reads an event has one, alone, until the event is decoded.
type room struct {
	names   [2 * fewNames][]byte
	members [fewNames]member
}

// rooms are used again: one takes more memory than what is kept of most events.
var rooms = sync.Pool{New: func() any { return new(room) }}

// leave gives a room back, and lets go of the text that was read in it.
func (r *room) leave() {
	*r = room{}
	rooms.Put(r)
}

var errNotJSON = errors.New("not JSON")

// reader goes through a JSON text.
type reader struct {
	text    []byte
	at      int
	depth   int
	space   *room
	names   [][]byte // of the objects that are open, the outermost first
	members []member
}

// peek skips spaces and returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take skips spaces and one byte, if that is next.
func (r *reader) take(c byte) bool {
	if r.peek() != c || r.at == len(r.text) {
		return false
	}
	r.at++
	return true
}

func (r *reader) value() error {
	switch r.peek() {
	case '{', '[':
		return r.nested()
	case '"':
		_, err := r.str()
		return err
	}
	return r.scalar()
}

func (r *reader) nested() (err error) {
	if r.depth++; r.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	begin := r.text[r.at]
	r.at++
	if begin == '{' {
		err = r.object()
	} else {
		err = r.array()
	}
	r.depth--
	return err
}

func (r *reader) array() error {
	if r.take(']') {
		return nil
	}
	for {
		if err := r.value(); err != nil {
			return err
		}
		if r.take(']') {
			return nil
		}
		if !r.take(',') {
			return errNotJSON
		}
	}
}

// fewNames is up to how many names of an object are compared one by one.
const fewNames = 24

func (r *reader) object() error {
	if r.depth == 1 {
		r.members = r.space.members[:0]
	}
	if r.take('}') {
		return nil
	}
	first := len(r.names)
	var many map[string]bool
	for {
		name, err := r.name(first, &many)
		if err != nil {
			return err
		}
		r.peek()
		from := r.at
		if err := r.value(); err != nil {
			return err
		}
		if r.depth == 1 {
			r.members = append(r.members, member{name, r.text[from:r.at]})
		}
		if r.take('}') {
			r.names = r.names[:first]
			return nil
		}
		if !r.take(',') {
			return errNotJSON
		}
	}
}

// name reads a name that none of the same object's before it has, and the
// colon. Those are in r.names from first on, and in many where they are many.
func (r *reader) name(first int, many *map[string]bool) ([]byte, error) {
	if r.peek() != '"' {
		return nil, errNotJSON
	}
	quoted, err := r.str()
	if err != nil {
		return nil, err
	}
	name, ok := unquoted(quoted)
	if !ok || !r.take(':') {
		return nil, errNotJSON
	}
	before := r.names[first:]
	twice := (*many)[string(name)]
	if *many == nil {
		for _, other := range before {
			twice = twice || bytes.Equal(other, name)
		}
	}
	if twice {
		return nil, fmt.Errorf("name %s is there twice", quote(string(name)))
	}
	r.names = append(r.names, name)
	switch {
	case *many != nil:
		(*many)[string(name)] = true
	case len(before) == fewNames:
		*many = make(map[string]bool, 2*fewNames)
		for _, other := range r.names[first:] {
			(*many)[string(other)] = true
		}
	}
	return name, nil
}

// str reads a string, its quotes included. What is escaped in it is not
// looked at.
func (r *reader) str() ([]byte, error) {
	rest := r.text[r.at:]
	for i := 1; i < len(rest); i++ {
		if !special[rest[i]] {
			continue
		}
		switch rest[i] {
		case '"':
			r.at += i + 1
			return rest[:i+1], nil
		case '\\':
			i++
		default:
			return nil, errNotJSON
		}
	}
	return nil, errNotJSON
}

// special are the bytes that are not just text in a string.
var special = func() (s [256]bool) {
	for c := range ' ' {
		s[c] = true
	}
	s['"'], s['\\'] = true, true
	return s
}()

// unquoted is the text of a string: where nothing is escaped in it, the very
// bytes between its quotes.
func unquoted(quoted []byte) ([]byte, bool) {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1], true
	}
	var text string
	err := json.Unmarshal(quoted, &text)
	return []byte(text), err == nil
}

// scalar passes over what may be a number, true, false or null.
func (r *reader) scalar() error {
	from := r.at
	for ; r.at < len(r.text); r.at++ {
		c := r.text[r.at]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '+' && c != '.' && c != 'E' {
			break
		}
	}
	if r.at == from {
		return errNotJSON
	}
	return nil
}
