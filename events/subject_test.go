// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// hostile are names that would be something else in a subject.
var hostile = []string{
	"", "_", "__", "_2e", "_5f", ".", "..", "a.b", "*", ">", "a.>", "$SYS", "$JS.API", " ", "a b", "\t", "\n", "a\r\nPUB x", "\x00",
	"-", "--", "a-b", "/", "a/b", "\\", "%2e", "ä", "日本", "🚀", "\u202e", "sһop", "Shop", "shop", "\xff", "\xc3\x28",
	strings.Repeat("x", 10<<10), strings.Repeat(".", 10<<10), strings.Repeat("ß", 5<<10),
}

var token = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func TestTokens(t *testing.T) {
	texts := append([]string{}, hostile...)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		b := make([]byte, r.IntN(12))
		for i := range b {
			const alphabet = "abzAZ09-_._*> 2e\n\xc3\xa4\xff"
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		texts = append(texts, string(b))
	}
	seen := map[string]string{}
	for _, text := range texts {
		got := events.EncodeToken(text)
		if !token.MatchString(got) {
			t.Fatalf("%q becomes %q", text, got)
		}
		back, err := events.DecodeToken(got)
		if err != nil || back != text {
			t.Fatalf("%q becomes %q becomes %q (%v)", text, got, back, err)
		}
		if other, taken := seen[got]; taken && other != text {
			t.Fatalf("%q and %q are both %q", text, other, got)
		}
		seen[got] = text
	}
}

// Every token that can be decoded is the one that its text is written as.
func TestOneTextHasOneToken(t *testing.T) {
	const alphabet = "a_2e5fF-."
	for n := range 5 {
		for i := range pow(len(alphabet), n) {
			b := make([]byte, n)
			for at := range b {
				b[at], i = alphabet[i%len(alphabet)], i/len(alphabet)
			}
			if text, err := events.DecodeToken(string(b)); err == nil && events.EncodeToken(text) != string(b) {
				t.Errorf("%q is read as %q, which is written %q", b, text, events.EncodeToken(text))
			}
		}
	}
}

func pow(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}

func TestSubjectsRoundTrip(t *testing.T) {
	subjects := map[string]string{}
	for i := range events.Types {
		typ := &events.Types[i]
		for _, x := range hostile {
			for _, y := range []string{"shop", ".", "_", ">"} {
				a := addressOf(typ, x, y)
				subject := typ.Subject(a)
				back, b, err := events.ParseSubject(subject)
				empty := a.Application == "" && typ.Scope == events.ScopeApplication || a.Cluster == "" && typ.Scope != events.ScopeKey || a.Key == "" && typ.Scope == events.ScopeKey
				if empty && typ.Name() != "sync.requested" {
					if err == nil {
						t.Fatalf("%s is read, and it lacks a part", subject)
					}
					continue
				}
				if err != nil || back != typ || b != a {
					t.Fatalf("%s at %+v: read back as %v at %+v (%v)", typ.Name(), a, back, b, err)
				}
				key := fmt.Sprintf("%s %+v", typ.Name(), a)
				if other, taken := subjects[subject]; taken && other != key {
					t.Fatalf("%s is the subject of two addresses", subject)
				}
				subjects[subject] = key
			}
		}
	}
}

func addressOf(typ *events.Type, x, y string) events.Address {
	switch typ.Scope {
	case events.ScopeCluster:
		return events.Address{Cluster: x}
	case events.ScopeKey:
		return events.Address{Cluster: y, Application: "a", Key: x}
	default:
		return events.Address{Cluster: y, Application: x}
	}
}

func TestFilterCoversItsSubjects(t *testing.T) {
	for i := range events.Types {
		typ := &events.Types[i]
		subject := typ.Subject(addressFor(typ))
		for _, cluster := range []string{"local", "*"} {
			if !covers(typ.Filter(cluster), subject) {
				t.Errorf("%s doesn't cover %s", typ.Filter(cluster), subject)
			}
		}
		if covers(typ.Filter("edge"), subject) {
			t.Errorf("%s covers %s", typ.Filter("edge"), subject)
		}
	}
}

// covers is how NATS matches, for filters without >.
func covers(filter, subject string) bool {
	f, s := strings.Split(filter, "."), strings.Split(subject, ".")
	if len(f) != len(s) {
		return false
	}
	for i := range f {
		if f[i] != "*" && f[i] != s[i] {
			return false
		}
	}
	return true
}

func TestTypesAreWellFormed(t *testing.T) {
	word := regexp.MustCompile(`^[a-z]+$`)
	seen := map[string]bool{}
	for i := range events.Types {
		typ := &events.Types[i]
		if !word.MatchString(typ.Noun) || !word.MatchString(typ.Verb) || !strings.HasSuffix(typ.Says, ".") || typ.Emitter == "" {
			t.Errorf("%+v", typ)
		}
		if seen[typ.Name()] || seen[fmt.Sprintf("%T", typ.Payload)] {
			t.Errorf("%s is there twice", typ.Name())
		}
		seen[typ.Name()], seen[fmt.Sprintf("%T", typ.Payload)] = true, true
		if events.TypeOf(typ.New()) != typ || events.TypeNamed(typ.Name()) != typ {
			t.Errorf("%s is not found by its payload and its name", typ.Name())
		}
	}
}
