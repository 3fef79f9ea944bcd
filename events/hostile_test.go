// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/plumbline-dev/plumbline/events"
)

// archives are the messages in a folder of testdata, by name.
func archives(tb testing.TB, folder string) map[string]string {
	tb.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		tb.Fatalf("no archives in %s (%v)", folder, err)
	}
	all := map[string]string{}
	for _, path := range paths {
		all[strings.TrimSuffix(filepath.Base(path), ".txtar")] = path
	}
	return all
}

// wanted is what an archive says of its message.
func wanted(t *testing.T, path string) string {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range archive.Files {
		if f.Name == "want" {
			return strings.TrimSpace(string(f.Data))
		}
	}
	t.Fatal("the archive doesn't say what it wants")
	return ""
}

func TestDecodeRefusesArchives(t *testing.T) {
	for name, path := range archives(t, "rejected") {
		t.Run(name, func(t *testing.T) {
			m := readWritten(t, path)
			e, err := events.Decode(m.subject, m.headers, m.body, 9)
			if err == nil {
				t.Fatalf("read as %+v", e)
			}
			if got := string(events.ReasonOf(err)); got != wanted(t, path) {
				t.Errorf("reason %s, want %s: %v", got, wanted(t, path), err)
			}
			classified(t, err)
		})
	}
}

func TestDecodeTakesArchives(t *testing.T) {
	for name, path := range archives(t, "accepted") {
		t.Run(name, func(t *testing.T) {
			m := readWritten(t, path)
			e, err := events.Decode(m.subject, m.headers, m.body, 9)
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %s by %s", e.Type.Name(), e.Application, e.Data.(*events.SyncRequested).By)
			if strings.HasSuffix(name, "-trace") && e.Traceparent == "" {
				got += " without trace"
			}
			if got != wanted(t, path) {
				t.Errorf("read %s, want %s", got, wanted(t, path))
			}
			if _, _, err := events.Encode(e); err != nil {
				t.Errorf("can't be written: %v", err)
			}
		})
	}
}

// What is too large or no text doesn't go into an archive.
func TestDecodeRefuses(t *testing.T) {
	good := readWritten(t, "testdata/sync.requested.txtar")
	binary := readWritten(t, "testdata/accepted/binary.txtar")
	in := func(from, to string) func(*written) {
		return func(m *written) { m.body = []byte(strings.Replace(string(m.body), from, to, 1)) }
	}
	for name, tc := range map[string]struct {
		from written
		edit func(*written)
		want error
	}{
		"empty body":        {good, func(m *written) { m.body = nil }, events.ErrMalformed},
		"empty binary body": {binary, func(m *written) { m.body = nil }, events.ErrMalformed},
		"65 KiB":            {good, in(`"by":"ada"`, `"by":"`+strings.Repeat("a", 65<<10)+`"`), events.ErrTooLarge},
		"65 KiB of spaces":  {good, func(m *written) { m.body = append(m.body, bytes.Repeat([]byte(" "), 65<<10)...) }, events.ErrTooLarge},
		"65 KiB of headers": {binary, func(m *written) { m.headers["ce-x"] = []string{strings.Repeat("a", 65<<10)} }, events.ErrTooLarge},
		"64 KiB together": {binary, func(m *written) {
			m.headers["ce-x"] = []string{strings.Repeat("a", 60<<10)}
			m.body = append(m.body, bytes.Repeat([]byte(" "), 5<<10)...)
		}, events.ErrTooLarge},
		"a header of three": {binary, func(m *written) { m.headers["ce-x"] = []string{"1", "2", "3"} }, events.ErrMalformed},
		"a header of none":  {binary, func(m *written) { m.headers["ce-x"] = nil }, events.ErrMalformed},
		"two content types": {good, func(m *written) {
			m.headers = map[string][]string{"Content-Type": {events.ContentType}, "content-type": {events.ContentType}}
		}, events.ErrMalformed},
		"invalid UTF-8":     {good, in("ada", "a\xffda"), events.ErrMalformed},
		"UTF-16":            {good, func(m *written) { m.body = append([]byte{0xff, 0xfe}, m.body...) }, events.ErrMalformed},
		"byte order mark":   {good, func(m *written) { m.body = append([]byte("\ufeff"), m.body...) }, events.ErrMalformed},
		"deep":              {good, in(`"ada"`, strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)), events.ErrMalformed},
		"deep, and unknown": {good, in(`"by":`, `"unheardOf":`+strings.Repeat("[", 100)+strings.Repeat("]", 100)+`,"by":`), events.ErrMalformed},
		"year 0":            {good, in(`"time":"2026-03-14`, `"time":"0000-03-14`), events.ErrMalformed},
		"long id":           {good, in(`"id":"`, `"id":"`+strings.Repeat("i", 1100)), events.ErrMalformed},
		"long correlation":  {good, in(`"correlationid":"`, `"correlationid":"`+strings.Repeat("i", 1100)), events.ErrMalformed},
		"long causation":    {good, in(`"causationid":"`, `"causationid":"`+strings.Repeat("i", 1100)), events.ErrMalformed},
		"long epoch":        {good, in(`"epoch":"`, `"epoch":"`+strings.Repeat("i", 1100)), events.ErrMalformed},
		"huge sequence":     {good, in(`"sequence":"`, `"sequence":"9`), events.ErrMalformed},
		"no subject":        {good, func(m *written) { m.subject = "" }, events.ErrWrongSubject},
		"another stream":    {good, func(m *written) { m.subject = "plumbline.blob.x" }, events.ErrWrongSubject},
		"another version":   {good, func(m *written) { m.subject = "plumbline.v2.sync.requested._.shop-web" }, events.ErrWrongSubject},
		"a subject's case":  {good, func(m *written) { m.subject = "plumbline.v1.Sync.requested._.shop-web" }, events.ErrWrongSubject},
		"a token too many":  {good, func(m *written) { m.subject += ".x" }, events.ErrWrongSubject},
		"a token too few":   {good, func(m *written) { m.subject = "plumbline.v1.sync.requested._" }, events.ErrWrongSubject},
		"a raw token":       {good, func(m *written) { m.subject = "plumbline.v1.sync.requested._.shop web" }, events.ErrWrongSubject},
		"another spelling":  {good, func(m *written) { m.subject = "plumbline.v1.sync.requested._.shop_2dweb" }, events.ErrWrongSubject},
	} {
		t.Run(name, func(t *testing.T) {
			m := written{tc.from.subject, maps.Clone(tc.from.headers), bytes.Clone(tc.from.body)}
			if _, err := events.Decode(m.subject, m.headers, m.body, 9); err != nil {
				t.Fatalf("before the edit: %v", err)
			}
			tc.edit(&m)
			e, err := events.Decode(m.subject, m.headers, m.body, 9)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Decode = %+v, %v; want %v", e, err, tc.want)
			}
			classified(t, err)
		})
	}
}

// classified holds every error of Decode to what it promises: a class, and a
// short text.
func classified(tb testing.TB, err error) {
	tb.Helper()
	classes := 0
	for _, class := range []error{events.ErrMalformed, events.ErrWrongSubject, events.ErrVersion, events.ErrTooLarge} {
		if errors.Is(err, class) {
			classes++
		}
	}
	if classes != 1 {
		tb.Errorf("%d classes: %v", classes, err)
	}
	if len(err.Error()) > 2000 {
		tb.Errorf("an error of %d bytes", len(err.Error()))
	}
	if strings.ContainsAny(err.Error(), "\n\r") {
		tb.Errorf("an error of several lines: %q", err)
	}
}
