// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/bus"
)

func TestWrapLosesNothingAndFits(t *testing.T) {
	for _, text := range []string{
		"", "one", "a few words that are short", strings.Repeat("long", 30),
		"word " + strings.Repeat("é", 50) + " word", "   spaces   between  ",
	} {
		for n := 1; n < 60; n++ {
			lines := wrap(text, n)
			for _, line := range lines {
				if utf8.RuneCountInString(line) > n {
					t.Fatalf("wrap(%q, %d): %q is too long", text, n, line)
				}
			}
			squeeze := func(s string) string { return strings.Join(strings.Fields(s), "") }
			if got := squeeze(strings.Join(lines, "")); got != squeeze(text) {
				t.Fatalf("wrap(%q, %d) = %q: text is lost", text, n, lines)
			}
		}
	}
	if got := wrap("the quick brown fox", 9); !slices.Equal(got, []string{"the quick", "brown fox"}) {
		t.Errorf("wrap = %q", got)
	}
}

func TestPrintableCantDriveATerminal(t *testing.T) {
	if got, want := printable("a\x1b[31mb\x00c\nd\u202ee\u2066f\u009bg"), "a�[31mb�c d�e�f�g"; got != want {
		t.Errorf("printable = %q, want %q", got, want)
	}
}

func TestColourOnATerminalOnly(t *testing.T) {
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	if painter(&bytes.Buffer{}) {
		t.Error("a buffer is painted")
	}
	if got := paint(false).in(red, "x"); got != "x" {
		t.Errorf("unpainted = %q", got)
	}
	if got := paint(true).in(red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("painted = %q", got)
	}
}

func TestAge(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 90 * time.Second: "90s", 5 * time.Minute: "5m", 119 * time.Minute: "119m",
		5 * time.Hour: "5h", 72 * time.Hour: "3d", 800 * 24 * time.Hour: "2y",
	} {
		if got := age(d); got != want {
			t.Errorf("age(%s) = %s, want %s", d, got, want)
		}
	}
}

// Every type of event has something to say of itself.
func TestEveryTypeHasASummary(t *testing.T) {
	for i := range events.Types {
		kind := &events.Types[i]
		if summary(events.Event{Type: kind, Data: kind.New()}) == "" {
			t.Errorf("%s has no summary", kind.Name())
		}
	}
}

// An error may quote an API server or a message: it has lines, and no more.
func TestErrorsCantDriveATerminal(t *testing.T) {
	var stderr bytes.Buffer
	err := errors.New("get web: \x1b]0;own\x07denied\r\n  see below")
	if code := report(&stderr, newRoot(), err); code != exitError {
		t.Errorf("exit code %d", code)
	}
	if got := stderr.String(); got != "plumbline: get web: �]0;own�denied�\n  see below\n" {
		t.Errorf("printed %q", got)
	}
	stderr.Reset()
	p := eventPrinter{err: &stderr}
	if err := p.print(bus.Record{Err: err}); err != nil || strings.ContainsAny(stderr.String(), "\x1b\x07\r") {
		t.Errorf("printed %q, %v", stderr.String(), err)
	}
}

// Colour is put around what was made fit to print, never before.
func TestAnObjectThatIsGoneInColour(t *testing.T) {
	var out bytes.Buffer
	p := whyPrinter{details: details{&out}, w: &out, colours: true}
	p.live(&answer{Live: &presence{Server: "https://kubernetes.example.com"}})
	if got := out.String(); !strings.HasSuffix(got, "  there      \x1b[31mno\x1b[0m\n") {
		t.Errorf("printed %q", got)
	}
}
