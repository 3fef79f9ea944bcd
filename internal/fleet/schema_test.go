// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// schemas are the published ones, by kind.
func schemas(t *testing.T) map[string]*jsonschema.Schema {
	t.Helper()
	all := map[string]*jsonschema.Schema{}
	for _, kind := range []string{fleet.KindRepository, fleet.KindCluster, fleet.KindApplication} {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join("../../docs/schema", strings.ToLower(kind)+".v1alpha1.json"))
		if err != nil {
			t.Fatal(err)
		}
		all[kind] = schema
	}
	return all
}

// everyDocument calls with each document of a folder's archives.
func everyDocument(t *testing.T, folder string, call func(where string, document map[string]any)) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no archives in %s (%v)", folder, err)
	}
	for _, path := range paths {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if !fleet.IsDeclaration(f.Name) {
				continue
			}
			text := bytes.ReplaceAll(f.Data, []byte(`\/`), []byte("/"))
			for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
				var document any
				err := d.Decode(&document)
				if err != nil && !errors.Is(err, io.EOF) && folder == "testdata/accepted" {
					t.Fatalf("%s: %v", path, err)
				}
				if err != nil {
					break
				}
				if m, ok := document.(map[string]any); ok {
					call(fmt.Sprintf("%s: %s: %v", filepath.Base(path), f.Name, m["metadata"]), m)
				}
			}
		}
	}
}

func TestWhatIsAcceptedFitsTheSchema(t *testing.T) {
	all := schemas(t)
	everyDocument(t, "testdata/accepted", func(where string, document map[string]any) {
		if err := all[document["kind"].(string)].Validate(jsonOf(t, document)); err != nil {
			t.Errorf("%s: %v", where, err)
		}
	})
}

// An editor that knows the schema refuses what the reader refuses, as far as a
// schema can tell: nothing in these archives gets past it.
func TestSchemaRefuses(t *testing.T) {
	all := schemas(t)
	refused := map[string]bool{}
	everyDocument(t, "testdata/rejected", func(where string, document map[string]any) {
		kind, ok := document["kind"].(string)
		if ok && all[kind] != nil && all[kind].Validate(jsonOf(t, document)) != nil {
			archive, _, _ := strings.Cut(where, ".txtar")
			refused[archive] = true
		}
	})
	for _, archive := range []string{
		"unknown-field", "unknown-field-top", "unknown-field-metadata", "wrong-type-text", "wrong-type-boolean", "wrong-type-mapping",
		"wrong-type-list", "wrong-type-duration", "bad-duration", "bad-mode", "bad-deletion", "no-name", "no-metadata", "no-spec",
		"no-source", "no-url", "bad-names", "two-refs", "three-refs", "bad-rule", "other-version",
	} {
		if !refused[archive] {
			t.Errorf("the schema lets %s through", archive)
		}
	}
}

// The values in the schema are what the reader fills in.
func TestSchemaTellsTheDefaults(t *testing.T) {
	text, err := os.ReadFile("../../docs/schema/application.v1alpha1.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct {
				Default any `json:"default"`
			} `json:"properties"`
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	said := application("a")
	for part, field := range map[string]string{"ApplicationSpec": "", "ConvergeSpec": "converge", "AuditSpec": "audit"} {
		var fields []string
		for name, p := range schema.Defs[part].Properties {
			if p.Default != nil {
				fields = append(fields, fmt.Sprintf("%s: %v", name, p.Default))
			}
		}
		if len(fields) == 0 {
			t.Fatalf("%s has no defaults", part)
		}
		if field != "" {
			said += "  " + field + ": {" + strings.Join(fields, ", ") + "}\n"
		} else {
			said += "  " + strings.Join(fields, "\n  ") + "\n"
		}
	}
	digest := func(text string) string {
		s := fleet.Merge(fleet.State{}, fleet.Parse(files("f.yaml", documents(repositoryShop, text))), "")
		if len(s.Rejections) > 0 {
			t.Fatalf("rejected: %+v\n%s", s.Rejections, text)
		}
		return fleet.Digest(*s.Applications[0].Declaration)
	}
	if digest(said) != digest(application("a")) {
		t.Errorf("saying the defaults of the schema changes something:\n%s", said)
	}
}

func jsonOf(t *testing.T, document any) any {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
