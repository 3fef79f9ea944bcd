// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads every document of a stream.
func parseYAML(data []byte) ([]value, error) {
	var documents []value
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	c := &converter{}
	for {
		var n yaml.Node
		err := decode(decoder, &n)
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err != nil {
			return nil, yamlError(err, data)
		}
		if len(documents) == MaxDocuments {
			return nil, syntax(n.Line, "the file has more than %d documents; split it", MaxDocuments)
		}
		d, err := c.document(&n)
		if err != nil {
			return nil, err
		}
		documents = append(documents, d)
	}
}

// decode turns a panic of the parser into its error: it is fed hostile input.
func decode(decoder *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("yaml: not readable")
		}
	}()
	return decoder.Decode(n)
}

var (
	yamlLine   = regexp.MustCompile(`^line (\d+): `)
	yamlAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
	yamlParser = regexp.MustCompile(`^(did not find expected|found duplicate %|found undefined tag|found incompatible)`)
	yamlReader = regexp.MustCompile(`UTF-|control characters`) // it names no line at all
	// yamlPlain are the messages that quote nothing of the file.
	yamlPlain = regexp.MustCompile(`^[a-zA-Z0-9 -]*('(-|,|\]|\})'[a-zA-Z ]*)*$`)
)

// yamlError keeps line and message of the parser's error. What it quotes may
// be a value, as in "unknown anchor", and is left out.
func yamlError(err error, data []byte) error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1 // the parser names none for the first
	if yamlReader.MatchString(message) {
		line = 0
	}
	if m := yamlLine.FindStringSubmatch(message); m != nil {
		line, _ = strconv.Atoi(m[1]) // digits; too many of them leave 0
		message = message[len(m[0]):]
	}
	if m := yamlAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		return syntax(1+bytes.Count(before, []byte{'\n'}), "an alias (*…) refers to an anchor (&…) that is not there; put text that starts with * in quotes")
	}
	if yamlParser.MatchString(message) && strings.Contains(err.Error(), "line ") {
		line++ // the parser, unlike the scanner, counts lines from 0 (go.yaml.in/yaml/v3 decode.go, fail)
	}
	// At the end of the file the parser points behind it.
	line = min(line, 1+bytes.Count(bytes.TrimRight(data, "\r\n"), []byte{'\n'}))
	if !yamlPlain.MatchString(message) {
		message = "it can't be parsed"
	}
	return syntax(line, "no valid YAML: %s. A tab in the indentation, a missing space after a colon and text with : or # that wants quotes are the usual causes", message)
}

// converter turns nodes into values. It counts what it makes over a whole
// file.
type converter struct{ expansion }

func (c *converter) document(n *yaml.Node) (value, error) {
	if n.Kind != yaml.DocumentNode || len(n.Content) == 0 {
		return value{}, nil
	}
	root := n.Content[0]
	c.add(root)
	v, err := c.convert(root, 0)
	if err != nil {
		return value{}, err
	}
	d := value{any: v, line: root.Line}
	if root.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(root.Content); i += 2 {
			if root.Content[i].Value == "items" && root.Content[i+1].Kind == yaml.SequenceNode {
				for _, item := range root.Content[i+1].Content {
					d.items = append(d.items, item.Line)
				}
			}
		}
	}
	return d, nil
}

func (c *converter) convert(n *yaml.Node, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, syntax(n.Line, "nested deeper than %d", MaxDepth)
	}
	if err := c.count(n); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.ScalarNode:
		return scalar(n)
	case yaml.SequenceNode:
		if n.Tag != "!!seq" && n.Tag != "" {
			return nil, badTag(n)
		}
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			v, err := c.convert(item, depth+1)
			if err != nil {
				return nil, err
			}
			out = append(out, v)
		}
		return out, nil
	case yaml.MappingNode:
		if n.Tag != "!!map" && n.Tag != "" {
			return nil, badTag(n)
		}
		return c.mapping(n, depth)
	case yaml.AliasNode:
		return c.alias(n, func(target *yaml.Node) (any, error) { return c.convert(target, depth+1) })
	default:
		return nil, syntax(n.Line, "not readable as YAML")
	}
}

func (c *converter) count(n *yaml.Node) error {
	if err := c.expansion.count(n.Line); err != nil {
		return err
	}
	if c.made > MaxNodes {
		return syntax(n.Line, "the file holds more than %d values; split it", MaxNodes)
	}
	return nil
}

// alias resolves an alias.
func (c *converter) alias(n *yaml.Node, f func(*yaml.Node) (any, error)) (any, error) {
	leave, err := c.enter(n)
	if err != nil {
		return nil, err
	}
	defer leave()
	return f(n.Alias)
}

func (c *converter) mapping(n *yaml.Node, depth int) (map[string]any, error) {
	out := make(map[string]any, len(n.Content)/2)
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.ShortTag() == "!!merge" {
			merges = append(merges, v)
			continue
		}
		key, err := c.key(k)
		if err != nil {
			return nil, err
		}
		if _, twice := out[key]; twice {
			return nil, syntax(k.Line, "the key %s is given twice; remove one of them", quoteKey(key))
		}
		if out[key], err = c.convert(v, depth+1); err != nil {
			return nil, err
		}
	}
	if len(merges) > 1 {
		return nil, syntax(merges[1].Line, "the key << is given twice; give it a sequence of aliases")
	}
	for _, m := range merges {
		if err := c.merge(out, m, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// merge adds what a merge key (yaml.org/type/merge) refers to: a key that is
// there already stays.
func (c *converter) merge(into map[string]any, n *yaml.Node, depth int) error {
	sources := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		sources = n.Content
	}
	for _, source := range sources {
		v, err := c.convert(source, depth+1)
		if err != nil {
			return err
		}
		m, ok := v.(map[string]any)
		if !ok {
			return syntax(source.Line, "<< merges mappings only")
		}
		for key, v := range m {
			if _, there := into[key]; !there {
				into[key] = v
			}
		}
	}
	return nil
}

// key reads a mapping's key. Numbers and booleans become text, as kubectl
// makes of them.
func (c *converter) key(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		v, err := c.alias(n, func(target *yaml.Node) (any, error) { return c.key(target) })
		key, _ := v.(string)
		return key, err
	}
	if n.Kind != yaml.ScalarNode {
		return "", syntax(n.Line, "a key must be text")
	}
	if err := c.count(n); err != nil {
		return "", err
	}
	v, err := scalar(n)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case bool:
		return strconv.FormatBool(v), nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), nil
	default:
		return "", syntax(n.Line, "a key is empty; a line that starts with a colon, or a template that left nothing, makes one")
	}
}

var truths = map[string]bool{
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false, "off": false, "Off": false, "OFF": false,
}

// scalar resolves a scalar as sigs.k8s.io/yaml does (YAML 1.1).
func scalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!null":
		return nil, nil
	case "!!str", "!!timestamp", "!!merge":
		plain := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
		if truth, ok := truths[n.Value]; ok && plain {
			return truth, nil
		}
		return text(n.Value, n.Line)
	case "!!binary":
		raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(n.Value), ""))
		if err != nil {
			return nil, syntax(n.Line, "!!binary is no valid base64")
		}
		return text(string(raw), n.Line)
	case "!!bool", "!!int", "!!float":
		var v any
		if err := n.Decode(&v); err != nil {
			return nil, syntax(n.Line, "the value doesn't fit its tag %s", tag)
		}
		return number(v, n.Line)
	default:
		return nil, badTag(n)
	}
}

func badTag(n *yaml.Node) error {
	return syntax(n.Line, "a value has a tag (!…) that Kubernetes doesn't know; put text that starts with ! in quotes")
}

// quoteKey keeps odd keys out of messages.
func quoteKey(key string) string {
	if len(key) > 63 || strings.ContainsFunc(key, notPrintable) {
		return "here"
	}
	return strconv.Quote(key)
}
