// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"errors"
	"strings"
	"testing"
)

// TestUnknownWordsOfTheParserAreNotRepeated: a later version of the parser
// may quote more than this one.
func TestUnknownWordsOfTheParserAreNotRepeated(t *testing.T) {
	for _, words := range []string{"yaml: line 2: found 'canary' here", "yaml: line 2: found \"canary\"", "yaml: canary: x", "yaml: unknown anchor 'canary' referenced"} {
		err := yamlError(errors.New(words), []byte("a: 1\nb: *canary\n"))
		var e *Error
		if !errors.As(err, &e) || strings.Contains(e.Message, "canary") {
			t.Errorf("%q gives %v", words, err)
		}
	}
}
