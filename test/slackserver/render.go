// SPDX-License-Identifier: Apache-2.0

package slackserver

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	links  = regexp.MustCompile(`<(https?://[^|>]+)\|([^>]+)>`)
	bold   = regexp.MustCompile(`(^|[\s(~])\*([^*\n]+)\*`)
	emojis = strings.NewReplacer(
		":red_circle:", "🔴", ":large_yellow_circle:", "🟡", ":white_check_mark:", "✅", ":package:", "📦",
	)
	entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")
)

// Plain is mrkdwn as it looks, without its fonts; what is struck through stays
// between tildes.
func Plain(text string) string {
	text = links.ReplaceAllString(text, "$2 ($1)")
	text = bold.ReplaceAllString(text, "$1$2")
	return entities.Replace(emojis.Replace(text))
}

// String is every channel as it looks, with each thread opened.
func (s *Server) String() string {
	var b strings.Builder
	for _, name := range s.options.Channels {
		fmt.Fprintf(&b, "#%s\n", strings.TrimPrefix(name, "#"))
	}
	for _, thread := range s.Threads() {
		b.WriteString("\n")
		for n, m := range thread {
			indent := ""
			if n > 0 {
				indent = "      "
			}
			m.print(&b, indent)
		}
	}
	return b.String()
}

func (m Message) print(b *strings.Builder, indent string) {
	edited := ""
	if len(m.Updates) > 0 {
		edited = " (edited)"
	}
	if indent != "" {
		fmt.Fprintf(b, "   ↳ %s", m.Time.UTC().Format("15:04:05"))
	} else {
		fmt.Fprint(b, m.Time.UTC().Format("15:04:05"))
	}
	fmt.Fprintf(b, "  %s%s\n", Plain(m.Text), edited)
	bar := "▌"
	if m.Color == "" {
		bar = " "
	}
	for _, text := range m.Body {
		for line := range strings.SplitSeq(Plain(text), "\n") {
			fmt.Fprintf(b, "%s%s %s\n", indent, bar, line)
		}
	}
}
