// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"fmt"
	"slices"
	"strings"
)

// ParsePath reads a field as people write it into the reference tokens of a
// JSON pointer: dotted (.spec.replicas, spec.template.spec.containers[0].image,
// metadata.labels['app.kubernetes.io/name']), or a JSON pointer (RFC 6901) as
// events have it. In [name=web], kept as one token, name is looked up by
// [Select].
func ParsePath(text string) ([]string, error) {
	if strings.HasPrefix(text, "/") {
		var tokens []string
		for token := range strings.SplitSeq(text[1:], "/") {
			tokens = append(tokens, strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~"))
		}
		return tokens, nil
	}
	var tokens []string
	rest := strings.TrimPrefix(text, ".")
	for rest != "" {
		token, after, err := next(rest)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", text, err)
		}
		tokens, rest = append(tokens, token), after
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("field %q: want one as .spec.replicas, or a JSON pointer as /spec/replicas", text)
	}
	return tokens, nil
}

// next takes the first token of a dotted path.
func next(text string) (token, rest string, err error) {
	if text[0] == '[' {
		return bracket(text)
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		case c == '[' || c == '.':
			if b.Len() == 0 {
				return "", "", fmt.Errorf("nothing stands before %q", text[i:])
			}
			rest, err := dot(text[i:])
			return b.String(), rest, err
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", nil
}

// bracket takes [0], [name=web] or ['any text'].
func bracket(text string) (token, rest string, err error) {
	end := strings.IndexByte(text, ']')
	if len(text) > 1 && (text[1] == '\'' || text[1] == '"') {
		if n := strings.Index(text[2:], string(text[1])+"]"); n >= 0 {
			rest, err = dot(text[n+4:])
			return text[2 : n+2], rest, err
		}
		end = -1
	}
	if end < 2 {
		return "", "", fmt.Errorf("%q: want [0], [name=web] or ['a.name']", text)
	}
	token = text[1:end]
	if strings.Contains(token, "=") {
		token = "[" + token + "]"
	}
	rest, err = dot(text[end+1:])
	return token, rest, err
}

// dot takes the dot before the next token away.
func dot(text string) (string, error) {
	switch {
	case text == "" || text[0] == '[':
		return text, nil
	case text[0] == '.' && len(text) > 1:
		return text[1:], nil
	}
	return "", fmt.Errorf("%q: want a field after the dot", text)
}

// Select replaces each [name=web] of tokens by the place that such an item has
// in body, or else in the first of others that has one. It reports false where
// none has.
func Select(tokens []string, bodies ...map[string]any) ([]string, bool) {
	for _, body := range bodies {
		if out, ok := selectIn(tokens, body); ok {
			return out, true
		}
	}
	return tokens, !slices.ContainsFunc(tokens, isChoice)
}

// isChoice reports whether a token is a [name=web].
func isChoice(token string) bool {
	return strings.HasPrefix(token, "[") && strings.HasSuffix(token, "]") && strings.Contains(token, "=")
}

func selectIn(tokens []string, body map[string]any) ([]string, bool) {
	var at any = body
	out := make([]string, 0, len(tokens))
	for _, token := range tokens {
		list, _ := at.([]any)
		if !isChoice(token) {
			out = append(out, token)
			at = child(at, token)
			continue
		}
		key, want, _ := strings.Cut(token[1:len(token)-1], "=")
		i := indexOf(list, key, want)
		if i < 0 {
			return nil, false
		}
		out, at = append(out, fmt.Sprint(i)), list[i]
	}
	return out, true
}

func child(v any, token string) any {
	switch node := v.(type) {
	case map[string]any:
		return node[token]
	case []any:
		for i := range node {
			if fmt.Sprint(i) == token {
				return node[i]
			}
		}
	}
	return nil
}

func indexOf(list []any, key, want string) int {
	for i, v := range list {
		if m, ok := v.(map[string]any); ok && m[key] != nil && fmt.Sprint(m[key]) == want {
			return i
		}
	}
	return -1
}
