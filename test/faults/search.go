// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// canaryMark begins every secret of the workload.
const canaryMark = "canary-"

// search looks for the workload's secrets wherever Plumbline leaves anything
// but the cluster: the bus's store, the logs, Slack, the spans. What is
// compressed is inflated and what is encoded decoded for it.
func (d *driver) search(ctx context.Context, dir string) error {
	for _, message := range d.Slack.Messages() {
		text := strings.Join(append([]string{message.Text}, message.Body...), "\n")
		d.record.add(Record{Slack: &Message{TS: message.TS, Thread: message.Thread, Text: message.Text, Posted: message.Time}})
		d.look("Slack", []byte(text))
	}
	for _, span := range d.OTLP.Spans() {
		text, err := json.Marshal(span)
		if err != nil {
			return fmt.Errorf("search the spans: %w", err)
		}
		d.look("a span", text)
	}
	for _, place := range []string{"data", "log"} {
		err := filepath.WalkDir(filepath.Join(dir, place), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(dir, path)
			d.look(name, text)
			return err
		})
		if err != nil {
			return fmt.Errorf("search %s: %w", place, err)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func (d *driver) look(where string, text []byte) {
	if canary := findCanary(text, 0); canary != "" {
		d.record.add(Record{Leak: &Leak{Canary: canary, Where: where}})
	}
}

var (
	marks     = encodings(canaryMark)
	base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{48,}`)
)

// encodings are the forms of a text that another may hold: plain, hexadecimal,
// and in base64 at each of the three places where it can begin.
func encodings(text string) [][]byte {
	forms := [][]byte{[]byte(text), []byte(hex.EncodeToString([]byte(text))), bytes.ToUpper([]byte(hex.EncodeToString([]byte(text))))}
	for shift := range 3 {
		for _, e := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
			whole := e.EncodeToString(append(make([]byte, shift), text...))
			first := (shift*8 + 5) / 6 // what the bytes before have a part in
			last := (shift + len(text)) * 8 / 6
			forms = append(forms, []byte(whole[first:last]))
		}
	}
	return forms
}

// findCanary returns what of a canary stands in a text, inflated and decoded
// as far as that goes.
func findCanary(text []byte, depth int) string {
	for _, mark := range marks {
		if i := bytes.Index(text, mark); i >= 0 {
			return string(text[i:min(len(text), i+60)])
		}
	}
	if depth == 3 {
		return ""
	}
	for _, inner := range inflate(text) {
		if found := findCanary(inner, depth+1); found != "" {
			return found
		}
	}
	for _, run := range base64Run.FindAll(text, -1) {
		plain := make([]byte, len(run))
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			if n, err := e.Decode(plain, run); err == nil || n > 16 {
				if found := findCanary(plain[:n], depth+1); found != "" {
					return found
				}
			}
		}
	}
	return ""
}

// mostInflated bounds what one stream is inflated to.
const mostInflated = 64 << 20

// inflate returns whatever of a text is a stream of gzip or zlib, inflated as
// far as it can be.
func inflate(text []byte) [][]byte {
	var all [][]byte
	take := func(r io.Reader, err error) {
		if err != nil {
			return
		}
		if inner, _ := io.ReadAll(io.LimitReader(r, mostInflated)); len(inner) > 8 { // what is cut off is read up to the cut
			all = append(all, inner)
		}
	}
	for i := 0; i+2 < len(text); i++ {
		switch {
		case text[i] == 0x1f && text[i+1] == 0x8b && text[i+2] == 8:
			r, err := gzip.NewReader(bytes.NewReader(text[i:]))
			take(r, err)
		case text[i] == 0x78 && (int(text[i])<<8|int(text[i+1]))%31 == 0:
			r, err := zlib.NewReader(bytes.NewReader(text[i:]))
			take(r, err)
		}
	}
	return all
}
