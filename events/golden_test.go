// SPDX-License-Identifier: Apache-2.0

package events_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/plumbline-dev/plumbline/events"
)

var update = flag.Bool("update", false, "write the goldens")

// written is one message as a golden keeps it.
type written struct {
	subject string
	headers map[string][]string
	body    []byte
}

func (w written) archive() []byte {
	var headers strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.headers)) {
		fmt.Fprintf(&headers, "%s: %s\n", name, w.headers[name][0])
	}
	return txtar.Format(&txtar.Archive{Files: []txtar.File{
		{Name: "subject", Data: []byte(w.subject + "\n")},
		{Name: "headers", Data: []byte(headers.String())},
		{Name: "body", Data: append(bytes.Clone(w.body), '\n')},
	}})
}

// readWritten reads a message as an archive keeps it.
func readWritten(tb testing.TB, path string) written {
	tb.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	var w written
	for _, f := range archive.Files {
		text := strings.TrimSuffix(string(f.Data), "\n")
		switch f.Name {
		case "subject":
			w.subject = text
		case "headers":
			w.headers = splitHeaders(text)
		case "body":
			w.body = []byte(text)
		}
	}
	return w
}

func goldenPath(t *events.Type) string { return filepath.Join("testdata", t.Name()+".txtar") }

func TestEveryTypeHasAGolden(t *testing.T) {
	all := samples()
	if len(all) != len(events.Types) {
		t.Errorf("%d samples of %d types", len(all), len(events.Types))
	}
	for i := range events.Types {
		typ := &events.Types[i]
		t.Run(typ.Name(), func(t *testing.T) {
			payload := all[typ.Name()]
			if payload == nil {
				t.Fatal("no sample")
			}
			e := sample(typ, payload)
			headers, body := encode(t, e)
			now := written{typ.Subject(e.Address), headers, body}
			if *update {
				if err := os.WriteFile(goldenPath(typ), now.archive(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden, err := os.ReadFile(goldenPath(typ))
			if err != nil {
				t.Fatalf("%v; run with -update and look at what it writes", err)
			}
			if diff := cmp.Diff(string(golden), string(now.archive())); diff != "" {
				t.Errorf("(-golden +now):\n%s", diff)
			}
		})
	}
}

// Goldens are messages that are out in the world: what once was written must
// be read, to the last field, and written again as it was.
func TestGoldensAreRead(t *testing.T) {
	for i := range events.Types {
		typ := &events.Types[i]
		t.Run(typ.Name(), func(t *testing.T) {
			golden := readWritten(t, goldenPath(typ))
			e, err := events.Decode(golden.subject, golden.headers, golden.body, 4711)
			if err != nil {
				t.Fatal(err)
			}
			headers, body := encode(t, e)
			if !bytes.Equal(body, golden.body) {
				t.Errorf("written again:\n%s\nbefore:\n%s", body, golden.body)
			}
			if diff := cmp.Diff(golden.headers, headers); diff != "" {
				t.Errorf("headers (-golden +again):\n%s", diff)
			}
			strict := json.NewDecoder(bytes.NewReader(dataOf(t, golden.body)))
			strict.DisallowUnknownFields()
			if err := strict.Decode(typ.New()); err != nil {
				t.Errorf("the payload lacks a field: %v", err)
			}
		})
	}
}

func TestGoldensFitTheirSchemas(t *testing.T) {
	envelope := compile(t, "https://plumbline.dev/schema/envelope.v1.json", schemaFile(t, "envelope"))
	for i := range events.Types {
		typ := &events.Types[i]
		t.Run(typ.Name(), func(t *testing.T) {
			golden := readWritten(t, goldenPath(typ))
			schema := compile(t, typ.Schema(), events.Schema(typ))
			validate(t, schema, dataOf(t, golden.body))
			validate(t, envelope, golden.body)
		})
	}
}

// What a schema demands, the struct writes whatever its values; unknown fields
// are let through.
func TestSchemasAreTolerantOfMoreAndOfNothingLess(t *testing.T) {
	for i := range events.Types {
		typ := &events.Types[i]
		t.Run(typ.Name(), func(t *testing.T) {
			schema := compile(t, typ.Schema(), events.Schema(typ))
			data := dataOf(t, readWritten(t, goldenPath(typ)).body)
			more := append([]byte(`{"unheardOf":{"x":1},`), data[1:]...)
			validate(t, schema, more)
			var members map[string]json.RawMessage
			if err := json.Unmarshal(data, &members); err != nil {
				t.Fatal(err)
			}
			for name := range members {
				without := map[string]json.RawMessage{}
				for other, value := range members {
					if other != name {
						without[other] = value
					}
				}
				text, err := json.Marshal(without)
				if err != nil {
					t.Fatal(err)
				}
				err = schema.Validate(unmarshal(t, text))
				if required := slices.Contains(requiredBy(t, typ), name); (err != nil) != required {
					t.Errorf("without %s, which is required: %v; the schema says %v", name, required, err)
				}
			}
		})
	}
}

func requiredBy(t *testing.T, typ *events.Type) []string {
	t.Helper()
	var schema struct {
		Required []string `json:"required"`
	}
	if err := json.Unmarshal(events.Schema(typ), &schema); err != nil {
		t.Fatal(err)
	}
	return schema.Required
}

func TestEveryTypeIsInTheDocs(t *testing.T) {
	page, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	for i := range events.Types {
		typ := &events.Types[i]
		if !bytes.Contains(page, []byte("| ["+typ.Name()+"](#")) || !bytes.Contains(page, []byte("\n## "+typ.Name()+"\n")) {
			t.Errorf("docs/events.md lacks %s; run make generate", typ.Name())
		}
	}
}

// Files that belong to no type are left over from one that is gone.
func TestNothingIsLeftOver(t *testing.T) {
	for _, pattern := range []string{"schema/*.json", "testdata/*.txtar"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			name, _, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".txtar"), ".v1.json")
			if events.TypeNamed(name) == nil && name != "envelope" {
				t.Errorf("%s is of no type", path)
			}
		}
	}
}

func dataOf(t *testing.T, body []byte) []byte {
	t.Helper()
	var message struct {
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		t.Fatal(err)
	}
	return message.Data
}

func schemaFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("schema", name+".v1.json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func compile(t *testing.T, id string, text []byte) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(id, unmarshal(t, text)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func validate(t *testing.T, schema *jsonschema.Schema, text []byte) {
	t.Helper()
	if err := schema.Validate(unmarshal(t, text)); err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func unmarshal(t *testing.T, text []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
