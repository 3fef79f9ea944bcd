// SPDX-License-Identifier: Apache-2.0

package canary

import (
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Find searches bytes; where is what its hits are to say. A secret that is
// there in several ways is told once.
func (s *Set) Find(where string, b []byte) []Hit {
	h := &hunt{set: s, where: where, seen: map[[sha256.Size]byte]bool{}, told: map[int]bool{}}
	h.look(b, nil)
	return h.hits
}

// FindReader searches all that a reader gives.
func (s *Set) FindReader(where string, r io.Reader) ([]Hit, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("search %s: %w", where, err)
	}
	return s.Find(where, b), nil
}

// Result is what a search saw.
type Result struct {
	Hits  []Hit
	Items int   // files, messages, blobs
	Bytes int64 // that were read, before anything was taken out of its wrapping
}

// Add adds what another search saw.
func (r *Result) Add(o Result) {
	r.Hits = append(r.Hits, o.Hits...)
	r.Items += o.Items
	r.Bytes += o.Bytes
}

// FindDir searches every file below a directory, and their names. What goes
// away while it looks is left out: a store may be at work.
func (s *Set) FindDir(dir string) (Result, error) {
	var r Result
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		r.Hits = append(r.Hits, s.Find("the name "+path, []byte(e.Name()))...)
		if !e.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		r.Add(Result{s.Find(path, b), 1, int64(len(b))})
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("search %s: %w", dir, err)
	}
	return r, nil
}

// hunt is the search of one body.
type hunt struct {
	set   *Set
	where string
	seen  map[[sha256.Size]byte]bool
	told  map[int]bool
	hits  []Hit
}

// look searches b and all that is wrapped in it. how is what b was wrapped in.
func (h *hunt) look(b []byte, how []string) {
	if len(b) < Fragment {
		return
	}
	sum := sha256.Sum256(b)
	if h.seen[sum] {
		return
	}
	h.seen[sum] = true
	h.scan(b, how)
	if len(how) == Depth {
		return
	}
	text := printable(b) && (len(how) == 0 || how[len(how)-1] != squeeze)
	for _, w := range wrappings {
		if w.text && !text {
			continue
		}
		w.open(b, func(inside []byte) { h.look(inside, append(slices.Clone(how), w.name)) })
	}
}

func (h *hunt) scan(b []byte, how []string) {
	h.set.scan(b, func(secret, offset, length int) {
		if h.told[secret] {
			return
		}
		h.told[secret] = true
		h.hits = append(h.hits, Hit{secret, h.where, how, offset, string(b[offset : offset+length])})
	})
}

// printable reports whether most of b is text; the NULs of UTF-16 count as such.
func printable(b []byte) bool {
	most := len(b) / 2
	text, other := 0, 0
	for _, c := range b {
		if c >= ' ' && c < 0x7f || c == '\n' || c == 0 {
			text++
		} else {
			other++
		}
		if text > most || other > len(b)-most-1 {
			break
		}
	}
	return text > most
}
