// SPDX-License-Identifier: Apache-2.0

package canary

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unescape takes the escapes of URLs (%61), JSON and Go (\u0061, \x61, \141,
// \n), XML (&#97; &#x61;) and quoted-printable (=61) out of a text; nil where
// there are none. What stands for a byte becomes one, as Latin-1 has it.
func unescape(b []byte) []byte {
	if !bytes.ContainsAny(b, `%\&=`) {
		return nil
	}
	out := make([]byte, 0, len(b))
	changed := false
	for i := 0; i < len(b); {
		plain, n := escape(b[i:])
		if n == 0 {
			out = append(out, b[i])
			i++
			continue
		}
		changed = true
		out = append(out, plain...)
		i += n
	}
	if !changed {
		return nil
	}
	return out
}

// escape reads one escape at the beginning of b: what it stands for, and how
// long it is; 0 where there is none.
func escape(b []byte) (plain []byte, n int) {
	switch b[0] {
	case '%', '=':
		return number(b, 1, 2, 16, "")
	case '&':
		if bytes.HasPrefix(b, []byte("&#x")) {
			return number(b, 3, 0, 16, ";")
		}
		if bytes.HasPrefix(b, []byte("&#")) {
			return number(b, 2, 0, 10, ";")
		}
	case '\\':
		return backslash(b)
	}
	return nil, 0
}

func backslash(b []byte) (plain []byte, n int) {
	if len(b) < 2 {
		return nil, 0
	}
	if at := strings.IndexByte("abtnvfr", b[1]); at >= 0 {
		return []byte{"\a\b\t\n\v\f\r"[at]}, 2
	}
	switch b[1] {
	case 'u':
		return number(b, 2, 4, 16, "")
	case 'U':
		return number(b, 2, 8, 16, "")
	case 'x':
		return number(b, 2, 2, 16, "")
	case '0', '1', '2', '3':
		return number(b, 1, 3, 8, "")
	default:
		return b[1:2], 2
	}
}

// number reads digits, a fixed number of them or up to an end.
func number(b []byte, from, digits, base int, end string) (plain []byte, n int) {
	to := from + digits
	if end != "" {
		at := bytes.Index(b[:min(len(b), 12)], []byte(end))
		if at < 0 {
			return nil, 0
		}
		to = at
	}
	if to > len(b) || to == from {
		return nil, 0
	}
	code, err := strconv.ParseUint(string(b[from:to]), base, 32)
	if err != nil || code > utf8.MaxRune {
		return nil, 0
	}
	n = to + len(end)
	if code < 0x100 {
		return []byte{byte(code)}, n
	}
	return utf8.AppendRune(nil, rune(code)), n
}
