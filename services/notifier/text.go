// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// What comes from clusters and from Git is hostile until proven otherwise: it
// must mention nobody, make no link, and not look like a part of the message.
// Slack's rules: docs.slack.dev/messaging/formatting-message-text (escape &, <
// and >; <!channel>, <@user> and <url|text> are made of those).

var (
	entities = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	// Signs of mrkdwn can't be escaped: what looks the same stands for them.
	// A joiner keeps an address from becoming a link, a name from a mention.
	signs = strings.NewReplacer("`", "ˋ", "*", "∗", "~", "∼", "://", ":\u2060//", "@", "@\u2060", "mailto:", "mailto\u2060:")
	ticks = strings.NewReplacer("`", "ˋ")
)

// clean is text on one line, without what can't be seen, of at most most
// runes.
func clean(text string, most int) string {
	var b strings.Builder
	space, n := true, 0
	for _, r := range text {
		if unicode.IsSpace(r) || unicode.IsControl(r) || r == utf8.RuneError {
			if !space {
				b.WriteByte(' ')
				n++
			}
			space = true
			continue
		}
		if !unicode.IsGraphic(r) { // joiners, marks of direction
			continue
		}
		if n >= most {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
		space = false
		n++
	}
	return strings.TrimRight(b.String(), " ")
}

// prose is foreign text within a sentence.
func prose(text string, most int) string {
	return entities.Replace(signs.Replace(clean(text, most)))
}

// code is foreign text as code: Slack makes nothing of what is in it.
func code(text string, most int) string {
	text = clean(text, most)
	if text == "" {
		return "`–`"
	}
	return "`" + entities.Replace(ticks.Replace(text)) + "`"
}

// short is a commit's id as people write it.
func short(commit string) string { return commit[:min(len(commit), 12)] }
