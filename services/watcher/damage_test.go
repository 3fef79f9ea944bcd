// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/plumbline-dev/plumbline/events"
)

// A damaged mirror is rebuilt, once: what is damaged again came so from the
// server.
func TestDamageOfTheServerIsToldFromThatOfTheMirror(t *testing.T) {
	var d damage
	err := fmt.Errorf("%w: commit x", errDamaged)
	if d.ofServer(err) {
		t.Error("the first sight of a damage is taken for the server's")
	}
	if !d.next(true) {
		t.Fatal("a damaged mirror is not rebuilt")
	}
	if !d.ofServer(err) || d.ofServer(errors.New("another")) {
		t.Error("a damage of a mirror that was just rebuilt is not taken for the server's")
	}
	if d.next(false) || !d.rebuilt {
		t.Error("a look in which the server's damage was seen ends what is known of it")
	}
	if d.next(true) {
		t.Error("it is rebuilt for ever")
	}
	d.at = time.Now().Add(-2 * spoiltFor)
	if !d.next(true) {
		t.Error("it is never rebuilt again, were the server mended")
	}
	if d.next(false) || d.rebuilt {
		t.Error("a look without any damage doesn't end it")
	}
	if d.ofServer(err) {
		t.Error("a later damage is the mirror's again")
	}
}

func TestSpoiltObjectsAreLookedAtAgainInTheEnd(t *testing.T) {
	var d damage
	id := plumbing.NewHash("0123456789abcdef0123456789abcdef01234567")
	if d.isSpoilt(id) {
		t.Error("spoilt before it was seen")
	}
	d.spoil(id)
	if !d.isSpoilt(id) || d.isSpoilt(plumbing.ZeroHash) {
		t.Error("what was spoilt is not remembered, or another is")
	}
	d.spoilt[id] = time.Now().Add(-2 * spoiltFor)
	if d.isSpoilt(id) {
		t.Error("spoilt for ever")
	}
}

func TestUnmendableSaysWhatToDo(t *testing.T) {
	known := classify(unmendable(fmt.Errorf("%w: tree x", errDamaged)))
	if known.reason != events.ReasonSourceInvalid || known.message != malformed {
		t.Errorf("%+v", known)
	}
	if other := errors.New("another"); !errors.Is(unmendable(other), other) {
		t.Error("another error is changed")
	}
}
