// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// parseJSON reads every document of a stream of JSON.
func parseJSON(data []byte) ([]value, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(data) {
		return nil, syntax(0, "no valid UTF-8")
	}
	r := newJSONReader(data)
	var documents []value
	for {
		token, line, err := r.next()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, err
		}
		if len(documents) == MaxDocuments {
			return nil, syntax(line, "the file has more than %d documents; split it", MaxDocuments)
		}
		r.items = nil
		v, err := r.value(token, line, 0, "")
		if err != nil {
			return nil, err
		}
		documents = append(documents, value{any: v, line: line, items: r.items})
	}
}

// jsonReader reads tokens and knows their lines.
type jsonReader struct {
	data    []byte
	decoder *json.Decoder
	offset  int // up to here lines are counted
	at      int // the line there
	nodes   int
	limit   int
	items   []int
}

func newJSONReader(data []byte) *jsonReader {
	r := &jsonReader{data: data, decoder: json.NewDecoder(bytes.NewReader(data)), at: 1, limit: MaxNodes}
	r.decoder.UseNumber()
	return r
}

// next is the next token and its line; io.EOF ends the stream.
func (r *jsonReader) next() (json.Token, int, error) {
	token, err := r.decoder.Token()
	end := int(r.decoder.InputOffset())
	r.at += bytes.Count(r.data[r.offset:end], []byte{'\n'})
	r.offset = end
	if err == nil {
		// No token of JSON spans lines, so it ends where it starts.
		return token, r.at, nil
	}
	if errors.Is(err, io.EOF) {
		return nil, r.at, io.EOF
	}
	rest := r.data[r.offset:]
	space := len(rest) - len(bytes.TrimLeft(rest, " \t\r\n:,"))
	r.at += bytes.Count(rest[:space], []byte{'\n'})
	return nil, r.at, syntax(r.at, "no valid JSON: a comma, a quote or a bracket is missing or too many")
}

// inner is next inside of a document, which must not end there.
func (r *jsonReader) inner() (json.Token, int, error) {
	token, line, err := r.next()
	if errors.Is(err, io.EOF) {
		err = syntax(line, "no valid JSON: the file ends in the middle of an object")
	}
	return token, line, err
}

func (r *jsonReader) value(token json.Token, line, depth int, key string) (any, error) {
	if r.nodes++; r.nodes > r.limit {
		return nil, syntax(line, "the file holds more than %d values; split it", MaxNodes)
	}
	if depth > MaxDepth {
		return nil, syntax(line, "nested deeper than %d", MaxDepth)
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return r.array(depth, key)
		}
		return r.object(depth)
	case json.Number:
		return number(token, line)
	default:
		return token, nil
	}
}

func (r *jsonReader) array(depth int, key string) (any, error) {
	out := []any{}
	for {
		token, line, err := r.inner()
		if err != nil {
			return nil, err
		}
		if token == json.Delim(']') {
			return out, nil
		}
		if depth == 1 && key == "items" {
			r.items = append(r.items, line)
		}
		v, err := r.value(token, line, depth+1, "")
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
}

func (r *jsonReader) object(depth int) (any, error) {
	out := map[string]any{}
	for {
		token, line, err := r.inner()
		if err != nil {
			return nil, err
		}
		key, ok := token.(string)
		if !ok {
			return out, nil // the closing brace: the decoder takes nothing else
		}
		if _, twice := out[key]; twice {
			return nil, syntax(line, "the key %s is given twice; remove one of them", quoteKey(key))
		}
		if token, line, err = r.inner(); err != nil {
			return nil, err
		}
		if out[key], err = r.value(token, line, depth+1, key); err != nil {
			return nil, err
		}
	}
}
