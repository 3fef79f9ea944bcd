// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

func TestTreesThatNoDiskCouldHoldAreRefused(t *testing.T) {
	id := bytes.Repeat([]byte{1}, 20)
	tree := func(names ...string) []byte {
		var b bytes.Buffer
		for _, name := range names {
			b.WriteString("100644 " + name + "\x00")
			b.Write(id)
		}
		return b.Bytes()
	}
	for want, names := range map[string][]string{
		"":                           {"a", "b", ".git", "a b"},
		"name that no file can have": {"a", ".."},
		"no file can have":           {"."},
		"that no file can have":      {"a/../b"},
		"two entries of one name":    {"a", "a"},
	} {
		_, err := decodeTree(plumbing.NewHash("01"), tree(names...))
		var known *sourceError
		switch {
		case want == "" && err != nil:
			t.Errorf("%q: %v", names, err)
		case want != "" && (!errors.As(err, &known) || known.reason != events.ReasonSourceInvalid || !strings.Contains(known.message, want)):
			t.Errorf("%q: %v, want %q", names, err, want)
		}
	}
}
