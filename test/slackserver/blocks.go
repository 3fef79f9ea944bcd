// SPDX-License-Identifier: Apache-2.0

package slackserver

import (
	"encoding/json"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Slack's limits: docs.slack.dev/reference/block-kit/blocks and
// docs.slack.dev/reference/methods/chat.postMessage.
const (
	maxText    = 40000
	maxBlocks  = 50
	maxSection = 3000
	maxField   = 2000
	maxFields  = 10
	maxHeader  = 150
	maxContext = 10
)

type textObject struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Verbatim bool   `json:"verbatim"`
}

type block struct {
	Type   string       `json:"type"`
	Text   *textObject  `json:"text"`
	Fields []textObject `json:"fields"`
	// Elements are those of a context.
	Elements []textObject `json:"elements"`
}

type attachment struct {
	Color    string  `json:"color"`
	Fallback string  `json:"fallback"`
	Text     string  `json:"text"`
	Blocks   []block `json:"blocks"`
}

// read reads a message from a form; code says why Slack would refuse it.
func read(form url.Values) (m *Message, code string) {
	m = &Message{Text: form.Get("text")}
	if len(m.Text) > maxText {
		return nil, "msg_too_long"
	}
	var blocks []block
	if text := form.Get("blocks"); text != "" {
		if json.Unmarshal([]byte(text), &blocks) != nil {
			return nil, "invalid_blocks_format"
		}
	}
	var attachments []attachment
	if text := form.Get("attachments"); text != "" {
		if json.Unmarshal([]byte(text), &attachments) != nil {
			return nil, "invalid_attachments"
		}
	}
	all := [][]block{blocks}
	for _, a := range attachments {
		if a.Color != "" {
			m.Color = a.Color
		}
		all = append(all, a.Blocks)
		if len(a.Blocks) == 0 && a.Text != "" {
			m.Body = append(m.Body, a.Text)
		}
	}
	for _, list := range all {
		if len(list) > maxBlocks {
			return nil, "invalid_blocks"
		}
		for _, b := range list {
			if !b.valid() {
				return nil, "invalid_blocks"
			}
			m.Body = append(m.Body, b.lines()...)
		}
	}
	if strings.TrimSpace(m.Text) == "" && len(m.Body) == 0 {
		return nil, "no_text"
	}
	return m, ""
}

func (b block) valid() bool {
	fits := func(t *textObject, most int) bool {
		return t != nil && t.Text != "" && utf8.RuneCountInString(t.Text) <= most && (t.Type == "mrkdwn" || t.Type == "plain_text")
	}
	switch b.Type {
	case "divider":
		return true
	case "header":
		return fits(b.Text, maxHeader) && b.Text.Type == "plain_text"
	case "section":
		for _, f := range b.Fields {
			if !fits(&f, maxField) {
				return false
			}
		}
		return (fits(b.Text, maxSection) || b.Text == nil && len(b.Fields) > 0) && len(b.Fields) <= maxFields
	case "context":
		for _, e := range b.Elements {
			if !fits(&e, maxSection) {
				return false
			}
		}
		return len(b.Elements) > 0 && len(b.Elements) <= maxContext
	}
	return false
}

// lines are the texts of a block, as they were sent.
func (b block) lines() []string {
	var all []string
	if b.Text != nil {
		all = append(all, b.Text.Text)
	}
	for _, f := range b.Fields {
		all = append(all, f.Text)
	}
	if len(b.Elements) > 0 {
		var parts []string
		for _, e := range b.Elements {
			parts = append(parts, e.Text)
		}
		all = append(all, strings.Join(parts, "  "))
	}
	return all
}
