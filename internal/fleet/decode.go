// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/plumbline-dev/plumbline/events"
)

// maxProblems is how many problems of one declaration are told.
const maxProblems = 20

// decoder reads one document's nodes into its struct, strictly, and remembers
// at which line each field stands.
type decoder struct {
	problems []events.Problem
	lines    map[string]int
}

// problem records that a field is invalid; line 0 is the field's own.
func (d *decoder) problem(line int, field, format string, args ...any) {
	reason := events.ReasonDeclaration
	if field == "metadata.name" {
		reason = events.ReasonNameInvalid
	}
	d.refuse(reason, line, field, format, args...)
}

// refuse records what is wrong with a field.
func (d *decoder) refuse(reason events.Reason, line int, field, format string, args ...any) {
	if len(d.problems) >= maxProblems {
		return
	}
	if line == 0 {
		line = d.line(field)
	}
	d.problems = append(d.problems, events.Problem{Line: line, Field: field, Message: fmt.Sprintf(format, args...), Reason: reason})
}

// line is where a field stands; a field that isn't there stands where what it
// belongs to does.
func (d *decoder) line(field string) int {
	for {
		if line, ok := d.lines[field]; ok {
			return line
		}
		i := strings.LastIndexAny(field, ".[")
		if i < 0 {
			return d.lines[""]
		}
		field = field[:i]
	}
}

func (d *decoder) decode(n *yaml.Node, v reflect.Value, field string) {
	d.lines[field] = n.Line
	if v.Type() == reflect.TypeFor[events.Duration]() {
		d.duration(n, v, field)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, v, field)
	case reflect.Slice:
		d.sequence(n, v, field)
	case reflect.String:
		d.text(n, v, field)
	case reflect.Bool:
		d.boolean(n, v, field)
	default:
		panic("fleet: no declaration has a " + v.Kind().String())
	}
}

func (d *decoder) mapping(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.MappingNode {
		d.problem(0, field, "must be a mapping with %s, and is %s", names(v.Type()), describe(n))
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := join(field, clip(key.Value))
		f, known := fieldNamed(v, key.Value)
		switch {
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || !known:
			d.problem(key.Line, name, "is not known here; known are %s", names(v.Type()))
		case seen[key.Value]:
			d.problem(key.Line, name, "is there twice; leave one of them out")
		default:
			seen[key.Value] = true
			d.decode(value, f, name)
			d.lines[name] = key.Line
		}
	}
	for i := range v.NumField() {
		name, optional := fieldName(v.Type().Field(i))
		if !optional && !seen[name] {
			d.problem(0, join(field, name), "is missing")
		}
	}
}

func (d *decoder) sequence(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.SequenceNode {
		d.problem(0, field, "must be a list, and is %s", describe(n))
		return
	}
	for i, item := range n.Content {
		element := reflect.New(v.Type().Elem()).Elem()
		d.decode(item, element, fmt.Sprintf("%s[%d]", field, i))
		v.Set(reflect.Append(v, element))
	}
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, field string) {
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && n.Value != "":
		v.SetString(n.Value)
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str", isNull(n):
		d.problem(0, field, "is empty; give it a value or leave it out")
	case n.Kind == yaml.ScalarNode && plainTypes[n.ShortTag()] != "":
		d.problem(0, field, "must be a text, and is %s; quote it", describe(n))
	default:
		d.problem(0, field, "must be a text, and is %s", describe(n))
	}
}

func (d *decoder) boolean(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		var b bool
		if err := n.Decode(&b); err == nil {
			v.SetBool(b)
			return
		}
	}
	d.problem(0, field, "must be true or false, and is %s", describe(n))
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		if parsed, err := time.ParseDuration(n.Value); err == nil {
			v.SetInt(int64(parsed))
			return
		}
	}
	d.problem(0, field, "must be a duration such as 30s, 5m or 1h, and is %s", describe(n))
}

// fieldNamed is the field of v that is called name in a declaration.
func fieldNamed(v reflect.Value, name string) (reflect.Value, bool) {
	for i := range v.NumField() {
		if known, _ := fieldName(v.Type().Field(i)); known == name {
			return v.Field(i), true
		}
	}
	return reflect.Value{}, false
}

func fieldName(f reflect.StructField) (name string, optional bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, options == "omitempty"
}

func names(t reflect.Type) string {
	all := make([]string, t.NumField())
	for i := range all {
		all[i], _ = fieldName(t.Field(i))
	}
	return strings.Join(all, ", ")
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// plainTypes are the scalars of JSON, by their tags, for people.
var plainTypes = map[string]string{"!!str": "the text", "!!int": "the number", "!!float": "the number", "!!bool": "the boolean"}

// describe is what stands there, for people: its type, and its value where
// that is short.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if isNull(n) || n.Value == "" {
		return "empty"
	}
	what := plainTypes[n.ShortTag()]
	if what == "" {
		what = "a " + clip(n.ShortTag())
	}
	return fmt.Sprintf("%s %q", what, clip(n.Value))
}

// clip cuts what is quoted from a file, so that a message stays short.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
