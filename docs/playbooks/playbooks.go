// SPDX-License-Identifier: Apache-2.0

package playbooks

import (
	"embed"
	"fmt"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

//go:embed *.md
var pages embed.FS

// DefaultBase is where the pages of the newest version can be read.
const DefaultBase = "https://github.com/plumbline-dev/plumbline/blob/main/docs/playbooks"

// URL is where a page can be read below base; "" for no page.
func URL(base, page string) string {
	if page == "" {
		return ""
	}
	return strings.TrimSuffix(base, "/") + "/" + page + ".md"
}

// Read returns the text of a page, in Markdown.
func Read(page string) (string, error) {
	data, err := pages.ReadFile(page + ".md")
	if err != nil {
		return "", fmt.Errorf("there is no playbook %q", page)
	}
	return string(data), nil
}

// Of names the page of an event: that of its reason code, of a divergence's
// kind, or of a refused declaration. It is "" for an event that asks nobody to
// act.
func Of(e events.Event) string {
	switch data := e.Data.(type) {
	case *events.DivergenceDetected:
		return ofKind(data.Kind)
	case *events.DivergencePersisted:
		return ofKind(data.Kind)
	case *events.FleetRejected:
		return ofRejection(data)
	case *events.AuditLimited:
		if len(data.Objects) == 0 {
			return ""
		}
		return ofReason(data.Objects[0].Reason)
	case *events.SourceUnreachable:
		return ofReason(data.Reason)
	case *events.CommitRejected:
		return ofReason(data.Reason)
	case *events.RenderFailed:
		return ofReason(data.Reason)
	case *events.ConvergenceFailed:
		return ofReason(data.Reason)
	case *events.ConvergenceDegraded:
		return ofReason(data.Reason)
	case *events.ConvergenceRolledBack:
		return ofReason(data.Reason)
	case *events.ConvergenceHeld:
		return ofReason(data.Reason)
	case *events.ApplicationWithdrawn:
		return ofReason(data.Reason)
	case *events.MessageRejected:
		return ofReason(data.Reason)
	case *events.AlertFailed:
		return ofReason(data.Reason)
	}
	return ""
}

// ofRejection is the page of all refused declarations where the event says no
// reason, or one of a newer version.
func ofRejection(p *events.FleetRejected) string {
	if page := ofReason(p.Reason); page != "" {
		return page
	}
	return "fleet-rejected"
}

func ofKind(kind events.DivergenceKind) string { return known("divergence-" + string(kind)) }

func ofReason(reason events.Reason) string { return known(string(reason)) }

// known is page if there is one: an event of a newer version may have a code
// that this one has no page for.
func known(page string) string {
	if _, err := Read(page); err != nil {
		return ""
	}
	return page
}
