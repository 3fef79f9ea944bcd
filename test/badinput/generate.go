// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Step is one line of an archive's generate file: what is made of a path by
// one of a few operations. [Input.Tree] has their list.
type Step struct {
	Path, Op string
	Args     []string
}

// Entry is a file of an input as it is committed.
type Entry struct {
	Path string
	Mode string // as Git writes it: 100644, 120000 for a link, 160000 for a submodule
	Data []byte // of a link its target; of a submodule its commit, 40 hex digits
}

// parseSteps reads lines of <path> <operation> <argument>…, separated by
// blanks; each may be a quoted string of Go.
func parseSteps(text string) ([]Step, error) {
	var steps []Step
	for line := range strings.Lines(text) {
		words, err := words(line)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 {
			return nil, fmt.Errorf("line %q: want <path> <operation> <argument>…", line)
		}
		steps = append(steps, Step{words[0], words[1], words[2:]})
	}
	return steps, nil
}

func words(line string) ([]string, error) {
	var out []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " \t") {
		if rest[0] != '"' && rest[0] != '`' {
			word, after, _ := strings.Cut(rest, " ")
			out, rest = append(out, word), after
			continue
		}
		prefix, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", rest, err)
		}
		word, err := strconv.Unquote(prefix)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", prefix, err)
		}
		out, rest = append(out, word), rest[len(prefix):]
	}
	return out, nil
}

// Tree is what an input's files are once its steps are done:
//
//	PATH encode ENCODING        the file in crlf, cr, bom, utf-16le, utf-16be or latin1
//	PATH replace TOKEN TEXT…    TOKEN in the file becomes a generated text
//	PATH text TEXT…             a file with a generated text
//	PATH files N                the file N times, %d in path and ${n} in text the number,
//	                            ${n+1} the next one
//	PATH mode MODE              the file with another mode, as 104755
//	PATH link TARGET            a symbolic link
//	PATH submodule COMMIT       a submodule
//
// A generated TEXT is one of
//
//	repeat N TEXT               TEXT N times
//	nest N OPEN CLOSE           N times OPEN, then N times CLOSE
//	lines N TEXT                TEXT N times, ${n} in it the number, each a line
//	aliases N INDENT            N lines of YAML, each of ten aliases of the one before
//	bytes HEX                   bytes
//	noise N                     N bytes of base64 that don't compress, always the same
//	gzip N                      N zeros, compressed as far as gzip can; N is a multiple of a hundred
func (in Input) Tree() ([]Entry, error) {
	entries := make([]Entry, 0, len(in.Files))
	for _, f := range in.Files {
		entries = append(entries, Entry{f.Path, "100644", []byte(f.Data)})
	}
	for _, s := range in.Steps {
		var err error
		if entries, err = s.do(entries); err != nil {
			return nil, fmt.Errorf("%s/%s: generate %s %s: %w", in.Section, in.Name, s.Path, s.Op, err)
		}
	}
	return entries, nil
}

// Text is the text of a file once its steps are done.
func (in Input) Text(path string) (string, error) {
	entries, err := in.Tree()
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if e.Path == path {
			return string(e.Data), nil
		}
	}
	return "", fmt.Errorf("%s/%s: no file %s", in.Section, in.Name, path)
}

func (s Step) do(entries []Entry) ([]Entry, error) {
	at := slices.IndexFunc(entries, func(e Entry) bool { return e.Path == s.Path })
	arg := func(n int) string {
		if n < len(s.Args) {
			return s.Args[n]
		}
		return ""
	}
	switch s.Op {
	case "link":
		return append(entries, Entry{s.Path, "120000", []byte(arg(0))}), nil
	case "submodule":
		return append(entries, Entry{s.Path, "160000", []byte(arg(0))}), nil
	case "text":
		text, err := generated(s.Args)
		return append(entries, Entry{s.Path, "100644", text}), err
	}
	if at < 0 {
		return nil, fmt.Errorf("no such file before")
	}
	e := &entries[at]
	var err error
	switch s.Op {
	case "encode":
		e.Data, err = encode(e.Data, arg(0))
	case "mode":
		e.Mode = arg(0)
	case "replace":
		if len(s.Args) < 2 || !bytes.Contains(e.Data, []byte(s.Args[0])) {
			return nil, fmt.Errorf("the file lacks %q", arg(0))
		}
		var text []byte
		text, err = generated(s.Args[1:])
		e.Data = bytes.ReplaceAll(e.Data, []byte(s.Args[0]), text)
	case "files":
		return many(entries, at, arg(0))
	default:
		return nil, fmt.Errorf("no such operation")
	}
	return entries, err
}

// many puts n files in the place of one.
func many(entries []Entry, at int, count string) ([]Entry, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return nil, err
	}
	e := entries[at]
	entries = slices.Delete(entries, at, at+1)
	for i := range n {
		number := strconv.Itoa(i)
		data := bytes.ReplaceAll(e.Data, []byte("${n}"), []byte(number))
		entries = append(entries, Entry{
			strings.ReplaceAll(e.Path, "%d", number), e.Mode,
			bytes.ReplaceAll(data, []byte("${n+1}"), []byte(strconv.Itoa(i+1))),
		})
	}
	return entries, nil
}

func encode(text []byte, encoding string) ([]byte, error) {
	switch encoding {
	case "crlf":
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")), nil
	case "cr":
		return bytes.ReplaceAll(text, []byte("\n"), []byte("\r")), nil
	case "bom":
		return append([]byte("\xef\xbb\xbf"), text...), nil
	case "utf-16le", "utf-16be":
		out := []byte{}
		for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(string(text)))...) {
			if encoding == "utf-16le" {
				out = append(out, byte(u), byte(u>>8))
			} else {
				out = append(out, byte(u>>8), byte(u))
			}
		}
		return out, nil
	case "latin1":
		out := []byte{}
		for _, r := range string(text) {
			out = append(out, byte(r))
		}
		return out, nil
	}
	return nil, fmt.Errorf("no encoding %q", encoding)
}

// generated is a text of the vocabulary.
func generated(args []string) ([]byte, error) {
	if len(args) < 2 {
		return nil, fmt.Errorf("want a generator and its arguments")
	}
	if args[0] == "bytes" {
		return hex.DecodeString(args[1])
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || len(args) < map[string]int{"repeat": 3, "nest": 4, "lines": 3, "aliases": 3, "noise": 2, "gzip": 2}[args[0]] {
		return nil, fmt.Errorf("generator %q: bad arguments", args[0])
	}
	switch args[0] {
	case "repeat":
		return bytes.Repeat([]byte(args[2]), n), nil
	case "nest":
		return append(bytes.Repeat([]byte(args[2]), n), bytes.Repeat([]byte(args[3]), n)...), nil
	case "lines":
		var b bytes.Buffer
		for i := range n {
			b.WriteString(strings.ReplaceAll(args[2], "${n}", strconv.Itoa(i)) + "\n")
		}
		return b.Bytes(), nil
	case "aliases":
		return aliases(n, args[2]), nil
	case "gzip":
		return zeros(n)
	case "noise":
		random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // it shall be the same each time
		raw := make([]byte, n)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		return []byte(base64.StdEncoding.EncodeToString(raw)[:n]), nil
	}
	return nil, fmt.Errorf("no generator %q", args[0])
}

// zeros is n zeros as gzip writes them (RFC 1952), a thousandth of them. The
// compressor sees two parts of a hundred: each that follows a part like itself
// is the same bytes.
func zeros(n int) ([]byte, error) {
	const parts = 100
	part := make([]byte, n/parts)
	var b bytes.Buffer
	b.Write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255})
	z, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	var ends [2]int
	for i := range ends {
		if _, err := z.Write(part); err != nil {
			return nil, err
		}
		if err := z.Flush(); err != nil {
			return nil, err
		}
		ends[i] = b.Len()
	}
	again, sum := bytes.Clone(b.Bytes()[ends[0]:ends[1]]), uint32(0)
	for i := range parts {
		sum = crc32.Update(sum, crc32.IEEETable, part)
		if i >= len(ends) {
			b.Write(again)
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	trailer := binary.LittleEndian.AppendUint32(nil, sum)
	return append(b.Bytes(), binary.LittleEndian.AppendUint32(trailer, uint32(n))...), nil //nolint:gosec // as gzip counts, modulo 2³²
}

// aliases is YAML in which each line repeats the one before ten times.
func aliases(n int, indent string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%sl0: &l0 [x, x, x, x, x, x, x, x, x, x]\n", indent)
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "%sl%d: &l%d [%s]\n", indent, i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*l%d, ", i-1), 10), ", "))
	}
	return b.Bytes()
}
