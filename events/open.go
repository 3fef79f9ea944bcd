// SPDX-License-Identifier: Apache-2.0

package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"
)

// message is a CloudEvent taken out of either content mode.
type message struct {
	attributes attributes
	data       []byte
}

// attributes are those of one message, each with its canonical text. They are few
// enough to be looked for one by one, and lie in the message: what is kept is copied.
type attributes []member

// find returns the text of an attribute, and whether it is there.
func (a attributes) find(name string) (text []byte, ok bool) {
	for _, x := range a {
		if string(x.name) == name {
			return x.value, true
		}
	}
	return nil, false
}

// get returns the text of an attribute, which is empty where it is absent.
func (a attributes) get(name string) []byte {
	text, _ := a.find(name)
	return text
}

// open tells the content mode by the Content-Type header, as the CloudEvents
// bindings do: a CloudEvents media type means structured, everything else
// binary.
func open(headers map[string][]string, body []byte, space *room) (message, error) {
	fromHeaders, contentType, size, err := readHeaders(headers)
	if err != nil {
		return message{}, err
	}
	if size+len(body) > MaxSize {
		return message{}, fmt.Errorf("%w: %d bytes", ErrTooLarge, size+len(body))
	}
	if !utf8.Valid(body) {
		return message{}, fmt.Errorf("%w: the body is no UTF-8", ErrMalformed)
	}
	if !strings.HasPrefix(strings.ToLower(contentType), "application/cloudevents") {
		return openBinary(fromHeaders, contentType, body, space)
	}
	if err := checkMediaType(contentType, func(media string) bool { return media == ContentType }); err != nil {
		return message{}, err
	}
	if len(fromHeaders) > 0 {
		return message{}, fmt.Errorf("%w: both structured and binary", ErrMalformed)
	}
	return openStructured(body, space)
}

// readHeaders returns the ce- headers, percent-decoded, by lower-case name;
// the content type; and how many bytes both take. The map is nil where there
// are none.
func readHeaders(headers map[string][]string) (attributes map[string]string, contentType string, size int, err error) {
	seen := false
	for key, values := range headers {
		if key == "" || key[0] != 'c' && key[0] != 'C' { // most are of NATS
			continue
		}
		name := strings.ToLower(key)
		attribute, ce := strings.CutPrefix(name, "ce-")
		if !ce && name != "content-type" {
			continue
		}
		for _, v := range values {
			size += len(key) + len(v)
		}
		if _, twice := attributes[attribute]; len(values) != 1 || ce && twice || !ce && seen {
			return nil, "", 0, fmt.Errorf("%w: header %s is there more than once", ErrMalformed, quote(name))
		}
		if !ce {
			contentType, seen = strings.TrimSpace(values[0]), true
			continue
		}
		if !validAttributeName(attribute) {
			return nil, "", 0, fmt.Errorf("%w: header name %s", ErrMalformed, quote(name))
		}
		if attributes == nil {
			attributes = make(map[string]string, len(headers))
		}
		if attributes[attribute], err = decodeHeader(values[0]); err != nil {
			return nil, "", 0, fmt.Errorf("%w: header %s: %w", ErrMalformed, quote(name), err)
		}
	}
	return attributes, contentType, size, nil
}

func validAttributeName(name string) bool {
	for i := 0; i < len(name); i++ {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// decodeHeader undoes the percent-encoding of header values
// (CloudEvents HTTP binding, section 3.1.3.2, which the NATS binding shares).
func decodeHeader(v string) (string, error) {
	plain, err := url.PathUnescape(v)
	if err != nil {
		return "", errors.New("bad percent-encoding")
	}
	if !utf8.ValidString(plain) {
		return "", errors.New("not UTF-8")
	}
	return plain, nil
}

// openBinary takes datacontenttype from its ce- header, as the NATS binding
// has it, or from Content-Type, as SDKs write it.
func openBinary(fromHeaders map[string]string, contentType string, body []byte, space *room) (message, error) {
	if len(fromHeaders) == 0 {
		return message{}, fmt.Errorf("%w: neither Content-Type %s nor ce- headers", ErrMalformed, ContentType)
	}
	declared, ok := fromHeaders["datacontenttype"]
	if !ok {
		fromHeaders["datacontenttype"] = contentType
	} else if contentType != "" && contentType != declared {
		return message{}, fmt.Errorf("%w: two content types", ErrMalformed)
	}
	if _, err := readJSON(body, space); err != nil {
		return message{}, err
	}
	m := message{data: body}
	for name, value := range fromHeaders {
		m.attributes = append(m.attributes, member{[]byte(name), []byte(value)})
	}
	return m, nil
}

// openStructured reads the JSON event format.
func openStructured(body []byte, space *room) (message, error) {
	members, err := readJSON(body, space)
	if err != nil {
		return message{}, err
	}
	if members == nil {
		return message{}, fmt.Errorf("%w: not a JSON object", ErrMalformed)
	}
	m := message{attributes: members[:0]} // none is written before it is read
	var base64Data []byte
	for _, x := range members {
		switch string(x.name) {
		case "data":
			m.data = x.value
			continue
		case "data_base64":
			base64Data = x.value
			continue
		}
		text, null, ok := attributeText(x.value)
		if !ok {
			return message{}, fmt.Errorf("%w: attribute %s has a type that CloudEvents doesn't have", ErrMalformed, quote(string(x.name)))
		}
		if !null { // which is the same as absent
			m.attributes = append(m.attributes, member{x.name, text})
		}
	}
	if base64Data == nil {
		return m, nil
	}
	if m.data != nil {
		return message{}, fmt.Errorf("%w: both data and data_base64", ErrMalformed)
	}
	m.data, err = decodeBase64(base64Data)
	return m, err
}

func decodeBase64(raw []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("%w: data_base64 is no string", ErrMalformed)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil || !utf8.Valid(data) {
		return nil, fmt.Errorf("%w: data_base64 holds no JSON", ErrMalformed)
	}
	_, err = readJSON(data, new(room)) // the attributes are in the other
	return data, err
}

// attributeText is the canonical text of an attribute's value.
func attributeText(raw []byte) (text []byte, null, ok bool) {
	switch raw[0] {
	case '"':
		text, ok = unquoted(raw)
		return text, false, ok
	case '{', '[':
		return nil, false, false
	}
	return raw, string(raw) == "null", json.Valid(raw)
}
