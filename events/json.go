// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// maxDepth is how deep the JSON of an event may nest.
const maxDepth = 64

// checkJSON refuses JSON in which an object has one name twice, since readers
// differ in which of the two they take, and what nests too deep. What follows
// the first value is left to the parser.
func checkJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := walkJSON(d); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

func walkJSON(d *json.Decoder) error {
	// One entry per open object or array: the names seen, nil for an array.
	var open []map[string]bool
	name := false // the next string is a name
	for {
		token, err := d.Token()
		if err != nil {
			return errors.New("not JSON")
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				open = append(open, map[string]bool{})
			case '[':
				open = append(open, nil)
			default:
				open = open[:len(open)-1]
			}
			if len(open) > maxDepth {
				return fmt.Errorf("nested deeper than %d", maxDepth)
			}
		case string:
			if name {
				names := open[len(open)-1]
				if names[v] {
					return fmt.Errorf("name %s is there twice", quote(v))
				}
				names[v], name = true, false
				continue
			}
		}
		if len(open) == 0 {
			return nil
		}
		name = open[len(open)-1] != nil
	}
}
