// SPDX-License-Identifier: Apache-2.0

package canary

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"io"
	"slices"
	"strconv"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// wrapping is a way to write bytes so that they can't be seen. open calls look
// with everything in b that was written that way; text says that only texts are,
// and not what [squeezed] leaves of one.
type wrapping struct {
	name string
	text bool
	open func(b []byte, look func([]byte))
}

const squeeze = "between separators"

var wrappings = []wrapping{
	{"escapes", true, func(b []byte, look func([]byte)) {
		if plain := unescape(b); plain != nil {
			look(plain)
		}
	}},
	{squeeze, true, func(b []byte, look func([]byte)) { look(squeezed(b)) }},
	{"UTF-16", true, func(b []byte, look func([]byte)) {
		if n := bytes.Count(b, []byte{0}); n > len(b)/4 {
			look(bytes.ReplaceAll(b, []byte{0}, nil))
		}
	}},
	{"Go bytes", true, decoded(1, goByte, 5*Fragment, func(run []byte) []byte { return fromNumbers(run, 16) })},
	{"base64", false, decoded(4, base64Byte, 4*Fragment/3, fromBase64)},
	{"hex", false, decoded(2, hexByte, 2*Fragment, fromHex)},
	{"decimals", true, decoded(1, decimalByte, 2*Fragment, func(run []byte) []byte { return fromNumbers(run, 10) })},
	{"gzip", false, magic("\x1f\x8b\x08", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })},
	{"zlib", false, zlibs},
	{"zstd", false, magic("\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxInside))
	})},
	{"s2", false, magic("\xff\x06\x00\x00S2sTwO", func(r io.Reader) (io.Reader, error) { return s2.NewReader(r), nil })},
	{"snappy", false, magic("\xff\x06\x00\x00sNaPpY", func(r io.Reader) (io.Reader, error) { return s2.NewReader(r), nil })},
}

// maxInside bounds what one compressed stream may hold.
const maxInside = 256 << 20

// digits are the bytes that texts of a kind are made of.
type digits [256]bool

func digitsOf(is func(byte) bool) *digits {
	var d digits
	for c := range d {
		d[c] = is(byte(c))
	}
	return &d
}

// runs are the stretches of at least least digits. What can't begin one is
// skipped, so that of most of what is none but few bytes are looked at.
func (d *digits) runs(b []byte, least int) [][]byte {
	var all [][]byte
	for start := 0; start+least <= len(b); {
		end := start + least
		if other := d.lastOther(b[start:end]); other >= 0 {
			start += other + 1
			continue
		}
		for end < len(b) && d[b[end]] {
			end++
		}
		all = append(all, b[start:end])
		start = end + 1
	}
	return all
}

// lastOther is where the last byte stands that is no digit, or -1.
func (d *digits) lastOther(b []byte) int {
	for i := len(b) - 1; i >= 0; i-- {
		if !d[b[i]] {
			return i
		}
	}
	return -1
}

// decoded looks at what all runs of some digits are, read from each of their
// first n on: what stands right before a text may look like a part of it. Texts
// are looked at apart from what is none.
func decoded(n int, is func(byte) bool, least int, decode func(run []byte) []byte) func([]byte, func([]byte)) {
	d := digitsOf(is)
	return func(b []byte, look func([]byte)) {
		all := d.runs(b, least)
		for i := range n {
			var texts, others []byte
			for _, run := range all {
				plain := decode(run[i:])
				if printable(plain) {
					texts = append(append(texts, plain...), 0)
				} else {
					others = append(append(others, plain...), 0)
				}
			}
			look(texts)
			look(others)
		}
	}
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// base64Byte takes the digits of both alphabets, and the ends of lines that a
// long text is broken into.
func base64Byte(c byte) bool {
	return letter(c) || c == '+' || c == '/' || c == '-' || c == '_' || c == '\n' || c == '\r'
}

func fromBase64(run []byte) []byte {
	text := standard(run)
	text = text[:len(text)/4*4+tail(len(text)%4)]
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, _ := base64.RawStdEncoding.Decode(out, text) //nolint:errcheck // every digit is one
	return out[:n]
}

// standard is a text in the standard alphabet, without the ends of its lines.
func standard(run []byte) []byte {
	if !holdsAny(run, '\n', '\r', '-', '_') {
		return run
	}
	text := make([]byte, 0, len(run))
	for _, c := range run {
		switch c {
		case '\n', '\r':
			continue
		case '-':
			c = '+'
		case '_':
			c = '/'
		}
		text = append(text, c)
	}
	return text
}

func holdsAny(b []byte, some ...byte) bool {
	return slices.ContainsFunc(some, func(c byte) bool { return bytes.IndexByte(b, c) >= 0 })
}

// tail is how many of the last n digits of a base64 text hold a byte.
func tail(n int) int {
	if n == 1 {
		return 0
	}
	return n
}

func hexByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func fromHex(run []byte) []byte {
	out := make([]byte, len(run)/2)
	n, _ := hex.Decode(out, run[:len(run)/2*2]) //nolint:errcheck // every digit is one
	return out[:n]
}

func decimalByte(c byte) bool {
	return c >= '0' && c <= '9' || c == ' ' || c == ',' || c == '\n' || c == '+'
}

func goByte(c byte) bool {
	return hexByte(c) || c == 'x' || c == ',' || c == ' ' || c == '\n' || c == '+'
}

// fromNumbers reads bytes as Go prints them: [99 97], 0x63, 0x61.
func fromNumbers(run []byte, base int) []byte {
	var out []byte
	for field := range bytes.FieldsFuncSeq(run, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '+' }) {
		digits, prefixed := bytes.CutPrefix(field, []byte("0x"))
		n, err := strconv.ParseUint(string(digits), base, 8)
		if err == nil && prefixed == (base == 16) {
			out = append(out, byte(n))
		}
	}
	return out
}

// squeezed is the letters and digits of b.
func squeezed(b []byte) []byte {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if letter(c) {
			out = append(out, c)
		}
	}
	if len(out) == len(b) {
		return nil
	}
	return out
}

// magic opens every stream that begins with some bytes.
func magic(begin string, open func(io.Reader) (io.Reader, error)) func([]byte, func([]byte)) {
	return func(b []byte, look func([]byte)) {
		for i := 0; ; i++ {
			next := bytes.Index(b[i:], []byte(begin))
			if next < 0 {
				return
			}
			i += next
			inflate(b[i:], open, look)
		}
	}
}

// zlibs opens every zlib stream: two bytes of which the first says DEFLATE and
// the whole is divisible by 31 (RFC 1950).
func zlibs(b []byte, look func([]byte)) {
	for i := 0; i+2 < len(b); i++ {
		if b[i]&0x0f != 8 || b[i]>>4 > 7 || binary.BigEndian.Uint16(b[i:])%31 != 0 || b[i+1]&0x20 != 0 {
			continue
		}
		inflate(b[i:], func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }, look)
	}
}

// inflate looks at what a stream holds, as far as it can be read: the rest of
// it may be in another chunk.
func inflate(b []byte, open func(io.Reader) (io.Reader, error), look func([]byte)) {
	r, err := open(bytes.NewReader(b))
	if err != nil {
		return
	}
	inside, _ := io.ReadAll(io.LimitReader(r, maxInside)) //nolint:errcheck // what was read before the fault counts
	if d, ok := r.(*zstd.Decoder); ok {
		d.Close()
	}
	look(inside)
}
