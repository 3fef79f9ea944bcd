// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// label is what an input may be called: an application is called so.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// TestCorpusIsWhole holds every input to the format, and the index to the
// corpus.
func TestCorpusIsWhole(t *testing.T) {
	inputs, err := Load("corpus")
	if err != nil {
		t.Fatal(err)
	}
	if len(inputs) < 300 {
		t.Errorf("%d inputs", len(inputs))
	}
	about := map[string]string{}
	for _, in := range inputs {
		w := in.Want
		if !label.MatchString(in.ID()) {
			t.Errorf("%s is no DNS label", in.ID())
		}
		if other, twice := about[in.About]; twice {
			t.Errorf("%s and %s are said to be the same", in.ID(), other)
		}
		about[in.About] = in.ID()
		switch {
		case w.Event == "" && w.Status == 0 && w.Exit == 0:
			t.Errorf("%s: nothing is wanted", in.ID())
		case w.Event != "" && w.Event != "none" && events.TypeNamed(w.Event) == nil:
			t.Errorf("%s: there is no event %s", in.ID(), w.Event)
		case refuses(w) && len(w.Says) == 0:
			t.Errorf("%s: it isn't wanted that the message says what to do", in.ID())
		}
		if _, err := in.Tree(); err != nil {
			t.Error(err)
		}
	}
	want, err := os.ReadFile("../../docs/badinput.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, Index(inputs)) {
		t.Error("docs/badinput.md is not the index of the corpus: go generate ./test/badinput")
	}
}

// refuses says whether what is wanted is told to people as a failure.
func refuses(w Want) bool {
	switch w.Event {
	case "fleet.rejected", "commit.rejected", "source.unreachable", "render.failed", "convergence.failed", "alert.failed", "message.rejected":
		return true
	}
	return false
}
