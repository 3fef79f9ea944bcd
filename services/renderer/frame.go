// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Parent and child speak in frames over the child's standard input and
// output: one byte that says what it is, the length of the body (4 bytes, big
// endian), the body. The parent sends a request and the answers that it can
// foresee; the child asks for what else it reads of the tree, one question at a
// time, and ends with a reply.
const (
	frameRequest  = 'Q' // parent: a request, JSON
	frameAhead    = 'P' // parent: a question and its answer
	frameQuestion = 'L' // child: operation and path
	frameAnswer   = 'A' // parent: an answer
	frameReply    = 'R' // child: a reply, JSON
)

// request is what to render.
type request struct {
	Path   string `json:"path"`
	Memory int64  `json:"memory"` // soft limit of the child's heap, in bytes
	Output int64  `json:"output"` // limit of the reply, in bytes
	Ahead  int    `json:"ahead"`  // how many answers follow
}

// reply is the end of a render: objects, or a failure.
type reply struct {
	Objects []rendered `json:"objects,omitempty"`
	Failure *failure   `json:"failure,omitempty"`
	// Spent says that the child carries something over that could touch
	// another render, and must be replaced.
	Spent bool `json:"spent,omitempty"`
	// Used are the places of the answers sent ahead that the render looked at.
	Used []int `json:"used,omitempty"`
}

// rendered is one object as the child made it, and where it comes from.
type rendered struct {
	File string          `json:"file"`
	Line int             `json:"line"`
	Body json.RawMessage `json:"body"`
	// Suffixed is the name of a Secret that ends in a hash of its content.
	Suffixed string `json:"suffixed,omitempty"`
}

// errFrame says that the other side does not speak our protocol.
var errFrame = errors.New("malformed frame")

// errTooLarge says that a frame is larger than it may be.
var errTooLarge = errors.New("frame is too large")

func writeFrame(w io.Writer, what byte, body []byte) error {
	_, err := w.Write(appendFrame(make([]byte, 0, 5+len(body)), what, body))
	return err
}

func appendFrame(to []byte, what byte, body []byte) []byte {
	to = binary.BigEndian.AppendUint32(append(to, what), uint32(len(body))) //nolint:gosec // below the limits of files and replies
	return append(to, body...)
}

func readFrame(r io.Reader, limit int64) (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if int64(n) > limit {
		return head[0], nil, fmt.Errorf("%w: %d bytes", errTooLarge, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, err
	}
	return head[0], body, nil
}

// encode writes an answer: its kind, the length of its path in 2 bytes, the
// path, then the bytes of a file or, each ended by a zero byte, kind and name
// of a directory's entries.
func (a answer) encode() []byte {
	out := []byte{byte(a.Kind)}
	out = binary.BigEndian.AppendUint16(out, uint16(len(a.Path)))
	out = append(out, a.Path...)
	for _, e := range a.Entries {
		out = append(out, byte(e.Kind))
		out = append(append(out, e.Name...), 0)
	}
	return append(out, a.Data...)
}

// decodeAnswer is the inverse of encode, for the operation that was asked.
func decodeAnswer(op operation, body []byte) (answer, error) {
	if len(body) < 3 {
		return answer{}, errFrame
	}
	n := int(binary.BigEndian.Uint16(body[1:]))
	if len(body) < 3+n {
		return answer{}, errFrame
	}
	a := answer{Kind: kind(body[0]), Path: string(body[3 : 3+n])}
	rest := body[3+n:]
	if op != opList {
		a.Data = rest
		return a, nil
	}
	for len(rest) > 0 {
		end := 1
		for end < len(rest) && rest[end] != 0 {
			end++
		}
		if end == len(rest) {
			return answer{}, errFrame
		}
		a.Entries = append(a.Entries, dirEntry{string(rest[1:end]), kind(rest[0])})
		rest = rest[end+1:]
	}
	return a, nil
}
