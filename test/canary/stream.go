// SPDX-License-Identifier: Apache-2.0

package canary

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// FindStream searches every message that a stream holds: subject, headers and
// body. Messages whose subjects differ in a last number alone are chunks of one
// body, and are searched joined as well.
func (s *Set) FindStream(ctx context.Context, js jetstream.JetStream, name string) (Result, error) {
	var r Result
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return r, fmt.Errorf("search the stream %s: %w", name, err)
	}
	state := stream.CachedInfo().State
	chunks := map[string]map[int][]byte{}
	for sequence := state.FirstSeq; sequence <= state.LastSeq; sequence++ {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return r, fmt.Errorf("search the stream %s: message %d: %w", name, sequence, err)
		}
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s\n", m.Subject)
		for key, values := range m.Header {
			fmt.Fprintf(&text, "%s: %s\n", key, strings.Join(values, "\n"))
		}
		where := fmt.Sprintf("%s %d on %s", name, sequence, m.Subject)
		r.Add(Result{slices.Concat(s.Find(where+", head", text.Bytes()), s.Find(where, m.Data)), 1, int64(text.Len() + len(m.Data))})
		keep(chunks, m.Subject, m.Data)
	}
	for _, subject := range slices.Sorted(maps.Keys(chunks)) {
		if parts := chunks[subject]; len(parts) > 1 {
			r.Hits = append(r.Hits, s.Find(name+", the whole of "+subject, join(parts))...)
		}
	}
	return r, nil
}

func keep(chunks map[string]map[int][]byte, subject string, data []byte) {
	cut := strings.LastIndexByte(subject, '.')
	n, err := strconv.Atoi(subject[cut+1:])
	if err != nil {
		return
	}
	body := subject[:max(cut, 0)]
	if chunks[body] == nil {
		chunks[body] = map[int][]byte{}
	}
	chunks[body][n] = data
}

func join(parts map[int][]byte) []byte {
	var all []byte
	for _, n := range slices.Sorted(maps.Keys(parts)) {
		all = append(all, parts[n]...)
	}
	return all
}
