// SPDX-License-Identifier: Apache-2.0

package events

import (
	"math/rand/v2"
	"net/url"
	"testing"
	"time"
)

// What is taken for a URI at the first look is one by net/url, too.
func TestCanonicalURI(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
	const letters = "aZ09-_/:.%@?# \x7fé"
	for range 20_000 {
		s := []string{"plumbline://", "plumbline:/", ""}[chance.IntN(3)]
		for range chance.IntN(6) {
			s += string(letters[chance.IntN(len(letters))])
		}
		u, err := url.Parse(s)
		if got, want := canonicalURI(s), err == nil && u.String() == s; got != want {
			t.Errorf("%q: %t, by net/url %t (%v)", s, got, want, err)
		}
	}
}

// A duration is a JSON string whether something is escaped in it or not.
func TestDurationUnmarshalJSON(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"5m0s"`: 5 * time.Minute, `"\u0035m0s"`: 5 * time.Minute, `"-1.5h"`: -90 * time.Minute, `"2µs"`: 2 * time.Microsecond, `"0"`: 0,
	} {
		var d Duration
		if err := d.UnmarshalJSON([]byte(text)); err != nil || d.Std() != want {
			t.Errorf("%s is read as %s, %v", text, d, err)
		}
	}
	for _, text := range []string{``, `"`, `""`, `"5"`, `5m`, `5`, `null`, `"5m`, `5m"`, `05m"`, `"5m"1s"`, "\"5m\n\"", `"5m\n"`, "\"5\xffm\""} {
		d := Duration(7)
		if err := d.UnmarshalJSON([]byte(text)); err == nil || d != 7 {
			t.Errorf("%q is read as %s, %v", text, d, err)
		}
	}
}
