// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"filippo.io/age"

	"github.com/plumbline-dev/plumbline/events"
)

// Limits on values.
const (
	maxInterval = 24 * time.Hour
	maxPath     = 1024 // bytes
	maxRef      = 255  // bytes
	maxIgnore   = 100  // rules of one application
)

func seconds(n int) events.Duration { return events.Duration(time.Duration(n) * time.Second) }
func minutes(n int) events.Duration { return events.Duration(time.Duration(n) * time.Minute) }

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// validLabel reports whether s is a DNS label (RFC 1123, section 2.1), as
// Kubernetes demands of the names of namespaces.
func validLabel(s string) bool { return label.MatchString(s) }

// validate checks what one declaration says by itself.
func (d *declared) validate() {
	switch d.kind {
	case KindRepository:
		if wrong := checkURL(d.repository.URL); wrong != "" && d.repository.URL != "" {
			d.decoder.refuse(events.ReasonURLRefused, 0, "spec.url", "%s", wrong)
		}
		d.within("spec.interval", d.repository.Interval, time.Second)
	case KindCluster:
		if d.name == LocalCluster {
			d.decoder.problem(0, "metadata.name", "the cluster local needs no declaration; leave this one out, or give it another name")
		}
		d.check("spec.recipient", d.cluster.Recipient, checkRecipient)
	case KindApplication:
		d.validateApplication()
	}
}

// check runs a check on a field's text, where it has one.
func (d *declared) check(field, value string, check func(string) string) {
	if value == "" {
		return
	}
	if wrong := check(value); wrong != "" {
		d.decoder.problem(0, field, "%s", wrong)
	}
}

func (d *declared) within(field string, got events.Duration, least time.Duration) {
	if got.Std() < least || got.Std() > maxInterval {
		d.decoder.problem(0, field, "must be from %s to %s, and is %s", least, maxInterval, got)
	}
}

func (d *declared) validateApplication() {
	a := &d.application
	d.validateSource()
	d.check("spec.cluster", a.Cluster, checkLabel)
	d.check("spec.namespace", a.Namespace, checkLabel)
	if a.CreateNamespace && a.Namespace == "" {
		d.decoder.problem(0, "spec.createNamespace", "needs spec.namespace: the namespace to create")
	}
	d.check("spec.converge.mode", a.Converge.Mode, oneOf(string(events.ModeAuto), string(events.ModeObserve)))
	d.check("spec.deletion", a.Deletion, oneOf(string(events.DeletionDelete), string(events.DeletionOrphan)))
	d.within("spec.converge.timeout", a.Converge.Timeout, time.Second)
	d.within("spec.audit.alertAfter", a.Audit.AlertAfter, 0)
	if n := len(a.Audit.Ignore); n > maxIgnore {
		d.decoder.problem(0, "spec.audit.ignore", "has %d rules, and at most %d are allowed", n, maxIgnore)
	}
	for i, rule := range a.Audit.Ignore {
		field := fmt.Sprintf("spec.audit.ignore[%d]", i)
		d.check(field+".group", rule.Group, checkGroup)
		d.check(field+".kind", rule.Kind, checkKind)
		d.check(field+".name", rule.Name, checkObjectName)
		d.check(field+".path", rule.Path, checkPointer)
	}
}

func (d *declared) validateSource() {
	s := &d.application.Source
	d.check("spec.source.repository", s.Repository, checkLabel)
	d.check("spec.source.branch", s.Branch, checkRef)
	d.check("spec.source.tag", s.Tag, checkRef)
	d.check("spec.source.commit", s.Commit, checkCommit)
	d.check("spec.source.path", s.Path, checkPath)
	given := slices.DeleteFunc([]string{"branch", "tag", "commit"}, func(name string) bool {
		_, there := d.decoder.lines["spec.source."+name]
		return !there
	})
	if len(given) > 1 {
		d.decoder.problem(0, "spec.source."+given[1], "stands beside %s; give exactly one of branch, tag and commit", given[0])
	}
	if len(given) == 0 {
		s.Branch = "main"
	}
}

// The checks below return what is wrong and what would be right, or nothing.

func checkLabel(s string) string {
	if !validLabel(s) {
		return fmt.Sprintf("must be a DNS label: at most 63 of a-z, 0-9 and -, which stands neither first nor last; is %q", clip(s))
	}
	return ""
}

func oneOf(allowed ...string) func(string) string {
	return func(s string) string {
		if !slices.Contains(allowed, s) {
			return fmt.Sprintf("must be %s, and is %q", strings.Join(allowed, " or "), clip(s))
		}
		return ""
	}
}

// checkRef is git-check-ref-format(1) for the name of a branch or tag.
func checkRef(s string) string {
	const right = "; write the name as `git branch` or `git tag` shows it"
	if strings.HasPrefix(s, "refs/") {
		return fmt.Sprintf("must be a short name such as main, and is %q", clip(s))
	}
	if len(s) > maxRef {
		return fmt.Sprintf("has %d bytes, and at most %d are allowed", len(s), maxRef)
	}
	for _, r := range s {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || strings.ContainsRune(" ~^:?*[\\", r) {
			return fmt.Sprintf("no ref of Git may hold %q%s", r, right)
		}
	}
	for _, part := range strings.Split(s, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return fmt.Sprintf("is no name of a ref: %q%s", clip(s), right)
		}
	}
	if strings.HasPrefix(s, "-") || strings.HasSuffix(s, ".") || s == "@" ||
		strings.Contains(s, "..") || strings.Contains(s, "@{") {
		return fmt.Sprintf("is no name of a ref: %q%s", clip(s), right)
	}
	return ""
}

var objectID = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

func checkCommit(s string) string {
	if !objectID.MatchString(s) {
		return fmt.Sprintf("must be a full object id, 40 (SHA-1) or 64 (SHA-256) of 0-9 and a-f, as `git rev-parse` prints it; is %q", clip(s))
	}
	return ""
}

func checkPath(s string) string {
	switch {
	case len(s) > maxPath:
		return fmt.Sprintf("has %d bytes, and at most %d are allowed", len(s), maxPath)
	case strings.HasPrefix(s, "/"):
		return fmt.Sprintf("must be relative to the root of the repository: %q", clip(strings.TrimLeft(s, "/")))
	case strings.ContainsRune(s, '\\'):
		return "must be separated by /, not by \\"
	case strings.ContainsFunc(s, unicode.IsControl) || strings.ContainsRune(s, unicode.ReplacementChar):
		return "must not hold control characters"
	case slices.Contains(strings.Split(s, "/"), ".."):
		return fmt.Sprintf("must stay inside the repository, without ..; is %q", clip(s))
	case slices.Contains(strings.Split(path.Clean(s), "/"), ".git"):
		return "must not be inside .git"
	}
	return ""
}

// checkRecipient never shows the text: it may be the secret half, given by
// mistake.
func checkRecipient(s string) string {
	if strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-") {
		return "is a secret key, and everybody who reads this repository has it now: make a new pair with age-keygen, and give its public key, age1…"
	}
	recipients, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(recipients) != 1 || strings.ContainsFunc(s, unicode.IsSpace) {
		return "must be one age recipient, age1…, as age-keygen prints it"
	}
	return ""
}

var (
	kindName   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,62}$`)
	dnsName    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)
	objectName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?$`)
)

func checkGroup(s string) string {
	if len(s) > 253 || !dnsName.MatchString(s) {
		return fmt.Sprintf("must be an API group such as apps or networking.k8s.io, without version; is %q", clip(s))
	}
	return ""
}

func checkKind(s string) string {
	if !kindName.MatchString(s) {
		return fmt.Sprintf("must be a kind such as Deployment; is %q", clip(s))
	}
	return ""
}

func checkObjectName(s string) string {
	if len(s) > 253 || !objectName.MatchString(s) {
		return fmt.Sprintf("must be the name of an object; leave it out to match every name; is %q", clip(s))
	}
	return ""
}

// kept are fields without which an object is no longer the one that Git
// declares, or no longer known to be ours.
var kept = []string{
	"/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace",
	"/metadata/labels", "/metadata/labels/plumbline.dev~1application",
	"/metadata/annotations", "/metadata/annotations/plumbline.dev~1object",
}

// checkPointer demands a JSON pointer (RFC 6901) to a part of an object.
func checkPointer(s string) string {
	switch {
	case s == "/" || strings.Trim(s, "/") == "":
		return "matches everything; name a field, such as /spec/replicas"
	case !strings.HasPrefix(s, "/"):
		return fmt.Sprintf("must be a JSON pointer and start with /, such as /spec/replicas; is %q", clip(s))
	case len(s) > maxPath:
		return fmt.Sprintf("has %d bytes, and at most %d are allowed", len(s), maxPath)
	case slices.Contains(kept, s):
		return "is what Plumbline tells the object by; name a field below it, or another one"
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '~' && (i+1 == len(s) || s[i+1] != '0' && s[i+1] != '1') {
			return "must write ~ as ~0 and / inside a name as ~1 (RFC 6901)"
		}
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "must not hold control characters"
	}
	return ""
}
