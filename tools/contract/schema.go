// SPDX-License-Identifier: Apache-2.0

package contract

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// durationPattern is what time.ParseDuration reads, short of a sign.
const durationPattern = `^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`

// reflector makes schemas of a package's types.
func reflector(s source, tolerant bool) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, AllowAdditionalProperties: tolerant,
		Mapper: func(t reflect.Type) *jsonschema.Schema { return mapped(s, t) },
		LookupComment: func(t reflect.Type, field string) string {
			if field != "" {
				return s.comments[t.Name()+"."+field]
			}
			return s.comments[t.Name()]
		},
	}
}

// mapped is the schema of types that reflection can't tell: durations, and
// texts with known values. The values are examples, not an enumeration: within
// a version of the contract values may be added.
func mapped(s source, t reflect.Type) *jsonschema.Schema {
	switch {
	case t == reflect.TypeFor[events.Duration]():
		return &jsonschema.Schema{Type: "string", Pattern: durationPattern}
	case t.Kind() == reflect.String && len(s.values[t.Name()]) > 0:
		schema := &jsonschema.Schema{Type: "string"}
		for _, v := range s.values[t.Name()] {
			schema.Examples = append(schema.Examples, v)
		}
		return schema
	}
	return nil
}

// eventSchema is the schema of an event's data.
func eventSchema(s source, t *events.Type) *jsonschema.Schema {
	schema := reflector(s, true).ReflectFromType(reflect.TypeOf(t.Payload))
	schema.ID = jsonschema.ID(t.Schema())
	schema.Title = t.Name()
	schema.Description = t.Says
	return schema
}

// declarationSchemas are the schemas of the kinds of declaration, by kind.
func declarationSchemas(s source) map[string]*jsonschema.Schema {
	schemas := map[string]*jsonschema.Schema{}
	for kind, document := range map[string]any{
		fleet.KindRepository:  fleet.RepositoryDocument{},
		fleet.KindCluster:     fleet.ClusterDocument{},
		fleet.KindApplication: fleet.ApplicationDocument{},
	} {
		schema := reflector(s, false).Reflect(document)
		schema.ID = jsonschema.ID("https://plumbline.dev/schema/" + declarationFile(kind))
		schema.Title = kind
		if source, ok := schema.Definitions["SourceSpec"]; ok {
			source.AllOf = atMostOne("branch", "tag", "commit")
		}
		schemas[kind] = schema
	}
	return schemas
}

func declarationFile(kind string) string {
	_, version, _ := strings.Cut(fleet.APIVersion, "/")
	return strings.ToLower(kind) + "." + version + ".json"
}

func atMostOne(names ...string) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	for i, one := range names {
		for _, other := range names[i+1:] {
			all = append(all, &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{one, other}}})
		}
	}
	return all
}

// encode writes a schema for people and version control: indented, one order.
func encode(schema *jsonschema.Schema) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(schema); err != nil {
		return nil, err
	}
	// Some parts marshal themselves and escape what HTML would need.
	return []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(b.String())), nil
}

// parts are the definitions of some schemas, by name.
func parts(schemas []*jsonschema.Schema) (names []string, all jsonschema.Definitions) {
	all = jsonschema.Definitions{}
	for _, schema := range schemas {
		for name, part := range schema.Definitions {
			if all[name] == nil {
				names = append(names, name)
			}
			all[name] = part
		}
	}
	slices.Sort(names)
	return names, all
}
