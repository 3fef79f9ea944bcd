// SPDX-License-Identifier: Apache-2.0

package notifier

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/plumbline-dev/plumbline/docs/playbooks"
	"github.com/plumbline-dev/plumbline/internal/incident"
)

// message is one message: a line, which notifications show, and below it, behind
// a bar of a colour, the particulars.
type message struct {
	text    string // mrkdwn
	color   string
	details []string // mrkdwn, a section each
	context string   // mrkdwn, small
}

const (
	red   = "#d72b3f"
	amber = "#daa038"
	green = "#2eb67d"
)

// The most that is shown of what may be long, in runes. A section takes 3000,
// and an escaped rune may be five.
const (
	mostMessage = 500
	mostName    = 100
	mostFile    = 150
	mostValue   = 60
	mostFields  = 5
	mostObjects = 3
	mostSection = 2900
)

// options are the message as slack-go sends it.
func (m message) options() []slack.MsgOption {
	var blocks []slack.Block
	for _, text := range m.details {
		blocks = append(blocks, slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, text, false, true), nil, nil))
	}
	if m.context != "" {
		blocks = append(blocks, slack.NewContextBlock("", slack.NewTextBlockObject(slack.MarkdownType, m.context, false, true)))
	}
	options := []slack.MsgOption{
		slack.MsgOptionText(m.text, false), slack.MsgOptionParse(false), slack.MsgOptionLinkNames(false),
		slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl(),
	}
	attachments := []slack.Attachment{} // an update without any leaves the old ones
	if len(blocks) > 0 {
		attachments = append(attachments, slack.Attachment{Color: m.color, Fallback: m.text, Blocks: slack.Blocks{BlockSet: blocks}})
	}
	return append(options, slack.MsgOptionAttachments(attachments...))
}

// subject is what an incident is of, and what is wrong with it.
func subject(i incident.Incident) string {
	title := prose(i.Title, 2*mostName)
	if i.Application == "" {
		return title
	}
	return fmt.Sprintf("*%s* (%s): %s", prose(i.Application, mostName), prose(i.Cluster, mostName), title)
}

// sign is how urgent an incident is.
func sign(i incident.Incident) (emoji, color string) {
	switch {
	case !i.Open():
		return ":white_check_mark:", green
	case i.Kind == incident.Hold, i.Kind == incident.Withdrawal, i.Kind == incident.Source, i.Kind == incident.Declaration:
		return ":large_yellow_circle:", amber
	}
	return ":red_circle:", red
}

// first is the message that begins the thread of an incident, as it stands
// now.
func (n *notifier) first(s state) message {
	emoji, color := sign(s.Incident)
	m := message{text: emoji + " " + subject(s.Incident), color: color, details: details(s.Incident), context: n.context(s.Incident)}
	if !s.Open() {
		m.text = fmt.Sprintf("%s ~%s~ %s", emoji, subject(s.Incident), ended(s))
	}
	return m
}

// reply is what is said in the thread.
func (n *notifier) reply(s state) message {
	emoji, color := sign(s.Incident)
	if !s.Open() {
		return message{text: emoji + " " + ended(s), color: color, context: traced(s.Incident)}
	}
	return message{text: emoji + " Still: " + subject(s.Incident), color: color, details: details(s.Incident), context: n.context(s.Incident)}
}

// ended says how it ended and how long it was.
func ended(s state) string {
	since := s.Since
	if s.told != nil && !s.told.Resolved && !s.told.Since.IsZero() && s.told.Since.Before(since) {
		since = s.told.Since
	}
	text := "resolved"
	if lasted := s.Closed.Time.Sub(since); lasted > 0 && !since.IsZero() {
		text += " after " + duration(lasted)
	}
	if s.Closed.How != "" {
		text += ": " + prose(s.Closed.How, mostName)
	}
	if s.Closed.Commit != "" {
		text += " (commit " + code(short(s.Closed.Commit), mostName) + ")"
	}
	return text
}

// duration is d as people say it.
func duration(d time.Duration) string {
	if d < time.Second {
		return "less than a second"
	}
	if d >= time.Hour {
		d = d.Round(time.Minute)
		return strings.TrimSuffix(d.String(), "0s")
	}
	return d.Round(time.Second).String()
}

// details are the particulars, in sections.
func details(i incident.Incident) []string {
	var all []string
	if text := prose(i.Message, mostMessage); text != "" {
		all = append(all, text)
	}
	for _, lines := range [][]string{fields(i), objects(i), origin(i)} {
		if len(lines) > 0 {
			all = append(all, section(lines))
		}
	}
	if act := i.Act(); i.Open() && act != "" {
		all = append(all, toAct(i, act))
	}
	return all
}

// section joins lines as far as a section takes them.
func section(lines []string) string {
	text := lines[0]
	for _, line := range lines[1:] {
		if len(text)+len(line) > mostSection {
			return text + "\n…"
		}
		text += "\n" + line
	}
	return text
}

func toAct(i incident.Incident, act string) string {
	what := "To look at it again now:"
	if i.Hold != "" {
		what = "To let it go:"
	}
	return what + "\n```" + entities.Replace(ticks.Replace(clean(act, mostMessage))) + "```"
}

// fields says which fields differ, from what and to what.
func fields(i incident.Incident) []string {
	var lines []string
	for n, f := range i.Fields {
		if n == mostFields {
			break
		}
		if f.Redacted {
			lines = append(lines, code(f.Path, mostName)+": the values of a Secret are not shown")
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: Git %s, live %s", code(f.Path, mostName), code(f.Desired, mostValue), code(f.Live, mostValue)))
	}
	if more := i.FieldCount - len(lines); more > 0 && len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// objects says which objects are at fault and why.
func objects(i incident.Incident) []string {
	var lines []string
	for n, f := range i.Failures {
		if n == mostObjects {
			break
		}
		lines = append(lines, fmt.Sprintf("%s%s: %s", code(f.Object.String(), 2*mostName), at(f.File, f.Line), prose(f.Message, 2*mostName)))
	}
	if more := i.FailureCount - len(lines); more > 0 && len(lines) > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// at says where something is declared.
func at(file string, line int) string {
	switch {
	case file == "":
		return ""
	case line == 0:
		return " in " + code(file, mostFile)
	}
	return " in " + code(fmt.Sprintf("%s:%d", clean(file, mostFile), line), mostFile+12)
}

// origin says who it was and what declares it.
func origin(i incident.Incident) []string {
	var lines []string
	if w := i.Writer; w != nil {
		line := "*Written by* " + code(w.Manager, mostName) + " (" + prose(w.Operation, mostName)
		if w.Subresource != "" {
			line += " of " + prose(w.Subresource, mostName)
		}
		line += ")"
		if !w.Time.IsZero() {
			line += " at " + w.Time.UTC().Format("2006-01-02 15:04:05 MST")
		}
		lines = append(lines, line)
	} else if i.Kind == incident.Divergence && i.Object != nil {
		lines = append(lines, "*Written by* nobody that the API server recorded")
	}
	if i.Object != nil && i.Kind == incident.Render {
		lines = append(lines, "*Object* "+code(i.Object.String(), 2*mostName))
	}
	declared := at(i.File, i.Line)
	if i.Commit != "" {
		declared += " · commit " + code(short(i.Commit), mostName)
		if i.Author != "" {
			declared += " by " + prose(i.Author, mostName)
		}
		if i.CommitTitle != "" {
			declared += ": " + prose(i.CommitTitle, mostName)
		}
	}
	if declared != "" {
		lines = append(lines, "*Declared*"+strings.TrimPrefix(declared, " ·"))
	}
	return lines
}

// traced is the trace of what it is about, or "".
func traced(i incident.Incident) string {
	if trace := i.TraceID(); trace != "" {
		return "trace " + code(trace, mostName)
	}
	return ""
}

// context is what leads on: when, why in a word, the trace, the playbook.
func (n *notifier) context(i incident.Incident) string {
	parts := []string{"since " + i.Since.UTC().Format("2006-01-02 15:04:05 MST")}
	if i.Reason != "" {
		parts = append(parts, code(i.Reason, mostName))
	}
	if trace := traced(i); trace != "" {
		parts = append(parts, trace)
	}
	if page := i.Page(); page != "" && n.cfg.Playbooks != "" {
		parts = append(parts, "<"+entities.Replace(playbooks.URL(n.cfg.Playbooks, page))+"|what to do>")
	}
	return strings.Join(parts, " · ")
}

// kindsOf are what incidents are called in a digest, for one and for many.
var kindsOf = map[incident.Kind][2]string{
	incident.Divergence:  {"divergence", "divergences"},
	incident.Render:      {"failed render", "failed renders"},
	incident.Commit:      {"refused commit", "refused commits"},
	incident.Convergence: {"failed convergence", "failed convergences"},
	incident.Hold:        {"hold", "holds"},
	incident.Withdrawal:  {"held withdrawal", "held withdrawals"},
	incident.Source:      {"unreachable repository", "unreachable repositories"},
	incident.Declaration: {"refused declaration", "refused declarations"},
}

// mostInDigest is how many incidents a digest names.
const mostInDigest = 5

// digestOf is one message about many incidents that are over.
func (n *notifier) digestOf(all []state) message {
	var counts []string
	for _, kind := range incident.Kinds {
		count := 0
		for _, s := range all {
			if s.Kind == kind {
				count++
			}
		}
		if count > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", count, kindsOf[kind][min(count-1, 1)]))
		}
	}
	begun, over := all[0].Since, all[0].Closed.Time
	applications := map[string]bool{}
	var lines []string
	for _, s := range all {
		if s.Since.Before(begun) {
			begun = s.Since
		}
		if s.Closed.Time.After(over) {
			over = s.Closed.Time
		}
		if s.Application != "" {
			applications[s.Application] = true
		}
		if len(lines) < mostInDigest {
			lines = append(lines, strings.TrimSuffix(subject(s.Incident)+", "+ended(s)+" · "+traced(s.Incident), " · "))
		}
	}
	if more := len(all) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: `plumbline events --type 'divergence.*'`", more))
	}
	text := fmt.Sprintf(":white_check_mark: *%s* began and ended before they were told", strings.Join(counts, ", "))
	if len(applications) > 0 {
		text += fmt.Sprintf(", in %d application%s", len(applications), map[bool]string{true: "s"}[len(applications) > 1])
	}
	const clock = "15:04:05"
	when := fmt.Sprintf("between %s and %s", begun.UTC().Format("2006-01-02 "+clock), over.UTC().Format(clock+" MST"))
	return message{text: text, color: green, details: []string{section(lines)}, context: when}
}
