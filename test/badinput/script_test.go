// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"strings"
	"testing"
)

// What a server sends is made ahead of whoever asks for it, and of nothing but
// what the script has come to.
func TestScriptsAreWholeWhenTheirPacksAreMade(t *testing.T) {
	all, err := Load("corpus")
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, in := range all {
		if in.Section != "git" || !strings.Contains(in.Parts["server"], "pack") {
			continue
		}
		r, err := newScript(in)
		if err != nil {
			t.Fatal(err)
		}
		if len(r.of("pack")) > 0 {
			changed++
			if len(r.packed()) == 0 || len(r.refs()) == 0 {
				t.Errorf("%s: nothing to send", in.ID())
			}
		}
	}
	if changed == 0 {
		t.Error("no script changes a pack")
	}
}
