// SPDX-License-Identifier: Apache-2.0

package events

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// What is taken for data, and what is read of it, are what encoding/json takes and
// reads: logs are full of events that were read so, and subscribers read them so.
func TestDataIsReadAsByTheStandardLibrary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test's
	for i := range Types {
		typ := &Types[i]
		golden := goldenData(t, typ)
		for round := range 500 {
			text := golden
			for range round % 3 {
				text = marred(chance, text)
			}
			want := typ.New()
			wrong := json.Unmarshal(text, want)
			got, err := decodeData(text, typ)
			if (wrong == nil) != (err == nil) && bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
				t.Fatalf("%s: %q: %v, by the standard library %v", typ.Name(), text, err, wrong)
			}
			if err == nil && !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %q is read as %+v, by the standard library as %+v", typ.Name(), text, got, want)
			}
		}
	}
}

// goldenData is the data of a type's golden event.
func goldenData(t *testing.T, typ *Type) []byte {
	t.Helper()
	golden, err := os.ReadFile(filepath.Join("testdata", typ.Name()+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, body, found := bytes.Cut(golden, []byte("-- body --\n"))
	var event struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&event); !found || err != nil || event.Data == nil {
		t.Fatalf("%s: no data: %v", typ.Name(), err)
	}
	return event.Data
}

// marred is a text with one thing in it changed, put in, taken out, or written in
// capitals.
func marred(chance *rand.Rand, text []byte) []byte {
	oddities := []string{
		`"`, `{`, `}`, `[]`, `,`, `:`, `null`, `true`, `1e400`, `-0`, `1.5`, `99999999999999999999`, `""`,
		`\u0000`, `\ud800`, `\`, "\xff", "\x00", " ", "\n", `"a":1,`, `"REVISION":{},`,
	}
	at := chance.IntN(len(text))
	switch chance.IntN(4) {
	case 0:
		return slices.Insert(slices.Clone(text), at, []byte(oddities[chance.IntN(len(oddities))])...)
	case 1:
		return slices.Delete(slices.Clone(text), at, min(len(text)-1, at+1+chance.IntN(12)))
	case 2:
		return slices.Concat(text[:at], bytes.ToUpper(text[at:]))
	}
	begin := at + bytes.IndexByte(text[at:], ':') + 1
	end := begin + max(0, strings.IndexAny(string(text[begin:]), ",}"))
	return slices.Concat(text[:begin], []byte(oddities[chance.IntN(len(oddities))]), text[end:])
}
