// SPDX-License-Identifier: Apache-2.0

package canary

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
)

const (
	// Size is how many bytes a secret has.
	Size = 36
	// Fragment is how many bytes of a secret in a row are told from chance.
	Fragment = 12
	// Depth is how many wrappings are taken off, one inside the other.
	Depth = 6

	gram = 8 // bytes that are looked up at once
	// stride is how far apart they are looked up: of the grams of a fragment, and
	// of whatever is longer, one begins there.
	stride = Fragment - gram + 1
)

// alphabet has no letter in two cases: the search doesn't tell them apart.
const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"

// Set is a number of secrets. It is safe for concurrent use once made.
type Set struct {
	values  []string
	needles []needle
	grams   map[uint64][]place
	maybe   []uint64 // a bit for each hash of a gram: most of what is read has none
}

// needle is a secret as it is looked for, without capitals: as it is, and, where
// separators belong to it, without them, as [squeezed] leaves it.
type needle struct {
	secret int
	text   []byte
}

// place is where a gram stands in a needle.
type place struct{ needle, offset int }

// New returns n secrets, the same ones for the same seed. The first byte of
// each is a letter, so that one may be a name, too.
func New(seed uint64, n int) *Set {
	random := rand.New(rand.NewPCG(seed, 0xca9a51e5))
	s := &Set{grams: map[uint64][]place{}, maybe: make([]uint64, 1<<(maybeBits-6))}
	for range n {
		b := make([]byte, Size)
		for j := range b {
			letters := len(alphabet)
			if j == 0 {
				letters = 26
			}
			b[j] = alphabet[random.IntN(letters)]
		}
		s.add(string(b))
	}
	return s
}

// With returns a set that has secrets of somebody else's beside those of s, behind
// them: texts or bytes. One shorter than [Fragment], which no search would ever
// find, is an error.
func (s *Set) With(values ...string) (*Set, error) {
	all := &Set{grams: map[uint64][]place{}, maybe: make([]uint64, len(s.maybe))}
	for _, value := range slices.Concat(s.values, values) {
		if len(value) < Fragment {
			return nil, fmt.Errorf("secret %d has %d bytes, want at least %d", len(all.values), len(value), Fragment)
		}
		all.add(value)
	}
	return all, nil
}

func (s *Set) add(value string) {
	s.values = append(s.values, value)
	s.index([]byte(value))
	if bare := squeezed([]byte(value)); len(bare) >= Fragment {
		s.index(bare)
	}
}

// index has the last secret be looked for as a text, which becomes small letters.
func (s *Set) index(text []byte) {
	for i, c := range text {
		text[i] = lower(c)
	}
	for j := range len(text) - gram + 1 {
		g := fold(binary.LittleEndian.Uint64(text[j:]))
		s.grams[g] = append(s.grams[g], place{len(s.needles), j})
		h := hash(g)
		s.maybe[h>>6] |= 1 << (h & 63)
	}
	s.needles = append(s.needles, needle{len(s.values) - 1, text})
}

// Len is how many secrets there are.
func (s *Set) Len() int { return len(s.values) }

// Value is the secret with an index from 0 to Len-1.
func (s *Set) Value(i int) string { return s.values[i] }

// Hit is a secret that was found, or a part of it.
type Hit struct {
	Secret int      // its index
	Where  string   // what was searched: a file, a subject
	How    []string // what it was wrapped in, the outermost first: "gzip", "base64"
	Offset int      // of its first byte, in what was inside the innermost
	Part   string   // as it stands there
}

// String tells where it was found.
func (h Hit) String() string {
	how := "in clear"
	if len(h.How) > 0 {
		how = fmt.Sprintf("in %v", h.How)
	}
	return fmt.Sprintf("%s: %d bytes of secret %d %s at %d: %q", h.Where, len(h.Part), h.Secret, how, h.Offset, h.Part)
}

const maybeBits = 22

func hash(g uint64) uint64 { return g * 0x9e3779b97f4a7c15 >> (64 - maybeBits) }

// fold makes capitals small. What is neither letter nor digit may become
// another byte; [Set.scan] compares before it believes.
func fold(g uint64) uint64 { return g | 0x2020202020202020 }

// scan calls found with every part of a secret in b that is long enough.
func (s *Set) scan(b []byte, found func(secret, offset, length int)) {
	for i := 0; i+gram <= len(b); {
		g := fold(binary.LittleEndian.Uint64(b[i:]))
		h := hash(g)
		if s.maybe[h>>6]&(1<<(h&63)) == 0 {
			i += stride
			continue
		}
		end := i + stride
		for _, p := range s.grams[g] {
			start, length := s.extend(b, i, p)
			if length < Fragment {
				continue
			}
			found(s.needles[p.needle].secret, start, length)
			end = max(end, start+length)
		}
		i = end
	}
}

// extend is how much of a needle stands around b[i], where the byte p.offset
// of it is looked for.
func (s *Set) extend(b []byte, i int, p place) (start, length int) {
	secret := s.needles[p.needle].text
	from, to := 0, 0 // before and behind i
	for from < p.offset && from < i && lower(b[i-from-1]) == secret[p.offset-from-1] {
		from++
	}
	for p.offset+to < len(secret) && i+to < len(b) && lower(b[i+to]) == secret[p.offset+to] {
		to++
	}
	return i - from, from + to
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c | 0x20
	}
	return c
}
