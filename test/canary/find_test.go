// SPDX-License-Identifier: Apache-2.0

package canary_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/nats-io/nats.go"

	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/test/canary"
)

const seed = 7

func compressed(t *testing.T, b []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// each writes every byte in a way of its own.
func each(b []byte, format string) []byte {
	var out bytes.Buffer
	for _, c := range b {
		fmt.Fprintf(&out, format, c)
	}
	return out.Bytes()
}

// wraps are ways to write a text, by name.
func wraps(t *testing.T) map[string]func([]byte) []byte {
	gz := func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }
	all := map[string]func([]byte) []byte{
		"clear":        func(b []byte) []byte { return b },
		"capitals":     bytes.ToUpper,
		"hex":          func(b []byte) []byte { return []byte(hex.EncodeToString(b)) },
		"hex, capital": func(b []byte) []byte { return bytes.ToUpper([]byte(hex.EncodeToString(b))) },
		"hex, spaced":  func(b []byte) []byte { return fmt.Appendf(nil, "% x", b) },
		"hex, odd":     func(b []byte) []byte { return []byte("a" + hex.EncodeToString(b)) },
		"Go bytes":     func(b []byte) []byte { return fmt.Appendf(nil, "%#v", b) },
		"decimals":     func(b []byte) []byte { return fmt.Appendf(nil, "%v", b) },
		"percent":      func(b []byte) []byte { return each(b, "%%%02X") },
		"URL":          func(b []byte) []byte { return []byte(url.QueryEscape("?&" + string(b) + " /")) },
		"JSON":         func(b []byte) []byte { return []byte(strconv.Quote("\n\t" + string(b) + "\"")) },
		"\\u":          func(b []byte) []byte { return each(b, `\u%04x`) },
		"\\x":          func(b []byte) []byte { return each(b, `\x%02x`) },
		"\\octal":      func(b []byte) []byte { return each(b, `\%03o`) },
		"XML":          func(b []byte) []byte { return each(b, "&#x%x;") },
		"XML, decimal": func(b []byte) []byte { return each(b, "&#%d;") },
		"printable":    func(b []byte) []byte { return each(b, "=%02X") },
		"dashes":       func(b []byte) []byte { return each(b, "%c-") },
		"lines":        func(b []byte) []byte { return each(b, "%c\n") },
		"JSON lines":   func(b []byte) []byte { return each(b, `%c\n`) },
		"UTF-16": func(b []byte) []byte {
			var out bytes.Buffer
			for _, u := range utf16.Encode([]rune(string(b))) {
				out.Write([]byte{byte(u), byte(u >> 8)})
			}
			return out.Bytes()
		},
		"gzip": func(b []byte) []byte { return compressed(t, b, gz) },
		"zlib": func(b []byte) []byte {
			return compressed(t, b, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil })
		},
		"zlib, best": func(b []byte) []byte {
			return compressed(t, b, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, zlib.BestCompression) })
		},
		"zstd": func(b []byte) []byte {
			return compressed(t, b, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) })
		},
		"s2": func(b []byte) []byte {
			return compressed(t, b, func(w io.Writer) (io.WriteCloser, error) { return s2.NewWriter(w), nil })
		},
		"snappy": func(b []byte) []byte {
			return compressed(t, b, func(w io.Writer) (io.WriteCloser, error) { return snappy.NewBufferedWriter(w), nil })
		},
		"base64 in lines": func(b []byte) []byte {
			var out bytes.Buffer
			for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString(b)), 8) {
				out.Write(append(line, '\n'))
			}
			return out.Bytes()
		},
	}
	for _, e := range []struct {
		name     string
		encoding *base64.Encoding
	}{{"base64", base64.StdEncoding}, {"base64 raw", base64.RawStdEncoding}, {"base64 URL", base64.URLEncoding}} {
		for offset := range 3 {
			all[fmt.Sprintf("%s at %d", e.name, offset)] = func(b []byte) []byte {
				return []byte(e.encoding.EncodeToString(append(bytes.Repeat([]byte{0xff}, offset), b...)))
			}
		}
	}
	return all
}

// around puts other text before and behind.
func around(b []byte) []byte {
	return slices.Concat([]byte(`{"level":"DEBUG","msg":"reading","value":"x`), b, []byte(`","digest":"sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f9"}`+"\n"))
}

func finds(set *canary.Set, b []byte, secret int) bool {
	return slices.ContainsFunc(set.Find("here", b), func(h canary.Hit) bool { return h.Secret == secret })
}

// Every way to write a secret is seen through, and every two of them, one
// inside the other.
func TestFindsWhatIsWrapped(t *testing.T) {
	set := canary.New(seed, 1000)
	all := wraps(t)
	n := 0
	for name, wrap := range all {
		for second, again := range all {
			secret := n % set.Len()
			n++
			if folds(name, second) {
				continue
			}
			b := around(again(wrap([]byte(set.Value(secret)))))
			if !finds(set, b, secret) {
				t.Errorf("not found: %s in %s: %q", name, second, b)
			}
		}
	}
	t.Logf("%d ways", n)
}

// folds reports whether the second way destroys what the first has made: base64
// whose letters have lost their case is base64 no more, nor is a compressed
// stream, or an escape, with dashes in it.
func folds(first, second string) bool {
	letters := func(but ...string) bool {
		return slices.ContainsFunc(append(but, "clear", "capitals", "hex", "dashes", "lines", "URL"), func(name string) bool { return strings.HasPrefix(first, name) })
	}
	switch second {
	case "capitals":
		return !letters("decimals")
	case "dashes", "lines", "JSON lines":
		return !letters("base64", "percent") && first != "JSON"
	case "UTF-16": // which has no place for what is no text
		return slices.Contains([]string{"gzip", "zlib", "zlib, best", "zstd", "s2", "snappy"}, first)
	}
	return false
}

func TestFindsThreeDeep(t *testing.T) {
	set := canary.New(seed, 10)
	all := wraps(t)
	for _, chain := range []string{"gzip,base64 at 1,JSON", "base64 at 2,zlib,hex", "base64 at 0,base64 at 1,base64 at 2", "JSON,JSON,gzip", "zstd,base64 raw at 1,percent", "s2,base64 at 0,gzip", "percent,\\u,zlib"} {
		b := []byte(set.Value(3))
		for name := range strings.SplitSeq(chain, ",") {
			b = all[name](around(b))
		}
		if !finds(set, around(b), 3) {
			t.Errorf("not found: %s", chain)
		}
	}
}

// Wherever a secret is cut, one of the halves is found.
func TestFindsHalves(t *testing.T) {
	set := canary.New(seed, 10)
	all := wraps(t)
	for _, name := range []string{"clear", "base64 at 0", "base64 at 1", "hex", "percent"} {
		b := all[name](around([]byte(set.Value(5))))
		for cut := range len(b) {
			if !finds(set, b[:cut], 5) && !finds(set, b[cut:], 5) {
				t.Errorf("%s, cut at %d: neither half is found", name, cut)
			}
		}
	}
	// The beginning of a stream alone, which can't be read to its end.
	noise := make([]byte, 64<<10)
	for i, r := 0, rand.New(rand.NewPCG(seed, 1)); i < len(noise); i++ {
		noise[i] = byte(r.IntN(256))
	}
	for _, name := range []string{"gzip", "zlib"} {
		b := all[name](slices.Concat(noise[:100], []byte(set.Value(5)), noise))
		if !finds(set, b[:len(b)/2], 5) {
			t.Errorf("%s: not found in the first half of it", name)
		}
	}
}

// Git keeps its objects as zlib streams in a pack, an XML encoder escapes by
// its own rules, JSON in JSON is quoted twice.
// A part that is just long enough is found wherever it stands: the search looks at
// some places alone.
func TestFindsEveryFragment(t *testing.T) {
	set := canary.New(seed, 1)
	for from := range canary.Size - canary.Fragment + 1 {
		part := set.Value(0)[from:][:canary.Fragment]
		for before := range canary.Fragment {
			for behind := range 2 {
				text := strings.Repeat("#", before) + part + strings.Repeat("#", behind)
				hits := set.Find("here", []byte(text))
				if len(hits) != 1 || hits[0].Offset != before || hits[0].Part != part {
					t.Fatalf("%q: %v", text, hits)
				}
			}
		}
	}
}

func TestFindsWhatOthersWrite(t *testing.T) {
	set := canary.New(seed, 10)
	inner, err := json.Marshal(map[string]any{"stringData": map[string]string{"p": set.Value(1)}, "raw": []byte(set.Value(2))})
	if err != nil {
		t.Fatal(err)
	}
	outer, err := json.Marshal(map[string]any{"annotations": map[string]string{"last-applied": string(inner)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []int{1, 2} {
		if !finds(set, outer, secret) {
			t.Errorf("JSON: secret %d is not found in %s", secret, outer)
		}
	}
	var x bytes.Buffer
	if err := xml.EscapeText(&x, []byte("<'\""+set.Value(1)+"&>")); err != nil {
		t.Fatal(err)
	}
	if !finds(set, x.Bytes(), 1) {
		t.Errorf("XML: %s", &x)
	}
}

// What holds no secret has none found, be it noise, text or other secrets.
func TestFindsNothingInNoise(t *testing.T) {
	set := canary.New(seed, 1000)
	r := rand.New(rand.NewPCG(seed, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.IntN(256))
	}
	others := canary.New(seed+1, 2000)
	var text bytes.Buffer
	for i := range others.Len() {
		fmt.Fprintf(&text, "{\"v\":%q,\"b\":%q}\n", others.Value(i), base64.StdEncoding.EncodeToString([]byte(others.Value(i))))
	}
	for name, b := range map[string][]byte{"noise": noise, "base64 of it": []byte(base64.StdEncoding.EncodeToString(noise)), "other secrets": text.Bytes(), "a short part": []byte("x" + set.Value(1)[:canary.Fragment-1] + "-")} {
		for _, h := range set.Find(name, b) {
			t.Error(h)
		}
	}
}

func TestSecretsAreTheSameForTheSameSeed(t *testing.T) {
	a, b, c := canary.New(seed, 100), canary.New(seed, 100), canary.New(seed+1, 100)
	all := map[string]bool{}
	for i := range a.Len() {
		if len(a.Value(i)) != canary.Size || a.Value(i) != b.Value(i) || a.Value(i) == c.Value(i) || all[a.Value(i)] {
			t.Errorf("secret %d: %s, %s, %s", i, a.Value(i), b.Value(i), c.Value(i))
		}
		all[a.Value(i)] = true
	}
}

func TestFindDir(t *testing.T) {
	set := canary.New(seed, 10)
	dir := t.TempDir()
	for name, text := range map[string]string{"a/b/blk": "x\x00" + set.Value(0), "clean": "nothing", set.Value(1): ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := set.FindDir(dir)
	if err != nil || len(got.Hits) != 2 || got.Items != 3 || got.Bytes != 2+canary.Size+7 {
		t.Errorf("%+v, %v", got, err)
	}
}

// A stream is searched subject, head and body, and chunks of one body as one:
// the second half of what is compressed can't be read by itself.
func TestFindStream(t *testing.T) {
	set := canary.New(seed, 10)
	s := bustest.Start(t)
	nc := s.Dial(t, "renderer")
	put := func(subject string, header nats.Header, data []byte) {
		t.Helper()
		if _, err := nc.RequestMsg(&nats.Msg{Subject: subject, Header: header, Data: data}, 10*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	noise := make([]byte, 4<<10)
	for i, r := 0, rand.New(rand.NewPCG(seed, 3)); i < len(noise); i++ {
		noise[i] = byte(r.IntN(256))
	}
	body := wraps(t)["gzip"](slices.Concat(noise, []byte(set.Value(0)), noise[:100]))
	put("plumbline.blob.renderer.local.x.0", nil, body[:2000])
	put("plumbline.blob.renderer.local.x.1", nil, body[2000:])
	put("plumbline.blob.renderer.local.y.0", nats.Header{"X": {set.Value(1)}}, nil)
	put("plumbline.blob.renderer.local."+set.Value(2)+".0", nil, nil)
	put("plumbline.blob.renderer.local.z.0", nil, []byte(base64.StdEncoding.EncodeToString([]byte(set.Value(3)))))
	got, err := set.FindStream(t.Context(), s.JetStream(t), "BLOBS")
	if err != nil {
		t.Fatal(err)
	}
	found := map[int]string{}
	for _, h := range got.Hits {
		found[h.Secret] = h.Where
	}
	if len(found) != 4 || got.Items != 5 || found[0] != "BLOBS, the whole of plumbline.blob.renderer.local.x" {
		t.Errorf("%d messages, found %v", got.Items, found)
	}
}

func BenchmarkFind(b *testing.B) {
	set := canary.New(seed, 1000)
	r := rand.New(rand.NewPCG(seed, 4))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.IntN(256))
	}
	var text bytes.Buffer
	for i := range 4000 {
		fmt.Fprintf(&text, "{\"level\":\"INFO\",\"msg\":\"applied\",\"application\":\"shop-%d\",\"path\":\"a\\/b\\n\",\"digest\":\"sha256:%x\"}\n", i, noise[i*32:i*32+32])
	}
	for name, body := range map[string][]byte{"noise": noise, "log": text.Bytes(), "base64": []byte(base64.StdEncoding.EncodeToString(noise))} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if set.Find("here", body) != nil {
					b.Fatal("found")
				}
			}
		})
	}
}
