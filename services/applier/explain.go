// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plumbline-dev/plumbline/events"
)

// trouble is why a request for an object was not granted, for people.
type trouble struct {
	Reason    events.Reason
	APIReason string
	Message   string
	// Again says that the same request may be granted in a moment.
	Again bool
	// Passing says that it is the API server's state rather than the object's:
	// what else is wrong with the object is not known by it.
	Passing bool
	Err     error
}

func (t *trouble) Error() string { return fmt.Sprintf("%s: %s", t.Reason, t.Message) }
func (t *trouble) Unwrap() error { return t.Err }

const maxMessage = 1 << 10 // bytes

// explain says what the API server's refusal of o means and what to do. The
// values that it quotes are left out, and of a Secret everything but path and
// code. An error that is no refusal is returned as it is.
func explain(o events.Object, err error) error { return explainRequest(o, false, err) }

// explainRemoval says the same of a request to delete o. A deletion that
// admission doesn't grant is blocked, by whatever stands in its way.
func explainRemoval(o events.Object, err error) error { return explainRequest(o, true, err) }

func explainRequest(o events.Object, removal bool, err error) error {
	if t := new(trouble); err == nil || errors.As(err, &t) {
		return err
	}
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return err
	}
	s := status.Status()
	t := &trouble{Reason: events.ReasonRefused, APIReason: string(s.Reason), Err: err}
	switch {
	case apierrors.HasStatusCause(err, "NamespaceTerminating"):
		t.Again = true
		t.Message = fmt.Sprintf("the namespace %s is being deleted; %s is applied when it is gone and there again", o.Namespace, o)
	case webhookName(s.Message) != "":
		t.Message, t.Again = explainWebhook(o, removal, s.Message)
		t.blocks(removal)
	case policy.MatchString(s.Message):
		t.Message = explainPolicy(o, removal, s.Message)
		t.blocks(removal)
	case untyped.MatchString(s.Message):
		t.Message = explainUntyped(o, s.Message)
	case apierrors.IsInvalid(err):
		t.Reason, t.Message = explainInvalid(o, s)
	case strings.Contains(s.Message, "not allowed while custom resource definition is terminating"):
		t.Reason, t.Again = events.ReasonUnknownKind, true
		t.Message = fmt.Sprintf("the CRD of %s is being deleted; %s is applied when it is there again. If that never comes, see which finalizers hold the CRD", o.Kind, o)
	case apierrors.IsForbidden(err) && strings.Contains(s.Message, "error looking up service account"):
		t.Again = true
		t.Message = fmt.Sprintf("the service account of %s is not there yet", o)
	case apierrors.IsForbidden(err):
		t.Reason, t.Message = events.ReasonForbidden, explainForbidden(o, removal, s.Message)
	case apierrors.IsConflict(err), apierrors.IsTooManyRequests(err), apierrors.IsServerTimeout(err), apierrors.IsTimeout(err),
		apierrors.IsInternalError(err), apierrors.IsServiceUnavailable(err), s.Code >= 500:
		t.Again, t.Passing = true, true
		t.Message = fmt.Sprintf("the API server can't take %s now (%s); it is tried again", o, s.Reason)
	case apierrors.IsNotFound(err) && o.Namespace != "" && missingNamespace(s, o):
		t.Message = fmt.Sprintf("the namespace %s doesn't exist: declare it, or set createNamespace of the application", o.Namespace)
	case apierrors.IsNotFound(err):
		t.Reason, t.Again = events.ReasonUnknownKind, true // a CRD that was just established isn't served by each API server at once
		t.Message, t.APIReason = unserved(o), ""
	default:
		t.Message = fmt.Sprintf("the API server refuses %s: %s", o, redact(o, s))
	}
	t.Message = cut(t.Message)
	return t
}

// unserved says that the cluster doesn't serve the kind of o. An answer to a
// request says it in the words that discovery's does, and no more: a failure that
// is learned the other way the next time isn't said again.
func unserved(o events.Object) string {
	return fmt.Sprintf("the cluster doesn't serve %s %s (%s): install its CRD, or declare it", o.Kind, apiVersion(o), o.Name)
}

func missingNamespace(s metav1.Status, o events.Object) bool {
	return s.Details != nil && s.Details.Kind == "namespaces" && s.Details.Name == o.Namespace
}

var webhook = regexp.MustCompile(`(?:admission|failed calling) webhook "([^"]{1,253})"`)

func webhookName(message string) string {
	if m := webhook.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return ""
}

// blocks says of a removal that it is blocked.
func (t *trouble) blocks(removal bool) {
	if removal {
		t.Reason = events.ReasonDeletionBlocked
	}
}

// explainWebhook names the webhook. What it says is its own words: of a Secret
// they are not repeated.
func explainWebhook(o events.Object, removal bool, message string) (string, bool) {
	name := webhookName(message)
	if strings.Contains(message, "failed calling webhook") {
		return fmt.Sprintf("the admission webhook %s, which must agree to %s, doesn't answer; it is tried again. See whether its service runs", name, asked(o, removal)), true
	}
	_, said, _ := strings.Cut(message, "denied the request: ")
	return denies("webhook "+name, o, removal, said), false
}

// policy is what the API server says where a policy denies something
// (k8s.io/apiserver/pkg/admission/plugin/policy/validating): under whatever
// reason the policy gives, which is Invalid by default.
var policy = regexp.MustCompile(`(?s)ValidatingAdmissionPolicy '([^']{1,253})' with binding '([^']{1,253})' denied request: (.*)`)

// explainPolicy names the policy and its binding.
func explainPolicy(o events.Object, removal bool, message string) string {
	m := policy.FindStringSubmatch(message)
	return denies(fmt.Sprintf("policy %s (binding %s)", m[1], m[2]), o, removal, withoutValues(m[3]))
}

// denies says what denies a request, in whose words, and of a removal what
// becomes of the object.
func denies(who string, o events.Object, removal bool, said string) string {
	text := fmt.Sprintf("the admission %s denies %s", who, asked(o, removal))
	if removal {
		text += ": it stays and is tried again. Have the applier be allowed to delete it, or declare it again"
		if o.Kind != "Secret" && said != "" {
			text += ". It was said: " + said
		}
		return text
	}
	if o.Kind != "Secret" && said != "" {
		text += ": " + said
	}
	return text
}

// asked is what was asked for.
func asked(o events.Object, removal bool) string {
	if removal {
		return "the deletion of " + o.String()
	}
	return o.String()
}

// untyped is what the API server says, as an internal error, of an object that
// doesn't fit its schema.
var untyped = regexp.MustCompile(`(?s)failed to create typed patch object \([^)]*\): (?:errors:\s*)?(.*)`)

// explainUntyped gives the path of the field that doesn't fit, and, but for a
// Secret, why; what it holds is left out.
func explainUntyped(o events.Object, message string) string {
	var parts []string
	for line := range strings.Lines(untyped.FindStringSubmatch(message)[1]) {
		path, why, _ := strings.Cut(strings.TrimSpace(line), ": ")
		why, _, _ = strings.Cut(why, ", got ")
		switch {
		case path == "":
		case o.Kind == "Secret" || why == "":
			parts = append(parts, path)
		default:
			parts = append(parts, path+": "+why)
		}
	}
	return fmt.Sprintf("%s doesn't fit the schema of its kind: %s", o, strings.Join(parts, "; "))
}

func explainInvalid(o events.Object, s metav1.Status) (events.Reason, string) {
	if s.Details != nil {
		for _, c := range s.Details.Causes {
			if strings.Contains(c.Message, "immutable") || strings.Contains(c.Message, "may not be changed") || strings.Contains(c.Message, "updates to") {
				return events.ReasonImmutable, fmt.Sprintf(
					"%s of %s can't be changed once it exists. Give the object another name, or delete it by hand and let it be created again", c.Field, o)
			}
		}
	}
	return events.ReasonRefused, fmt.Sprintf("%s is invalid: %s", o, redact(o, s))
}

func explainForbidden(o events.Object, removal bool, message string) string {
	i := strings.Index(message, "cannot ")
	if i >= 0 && o.Kind != "Secret" && removal {
		return fmt.Sprintf("the applier may not delete %s: it %s. Grant it that, or declare the object again", o, message[i:])
	}
	if i >= 0 && o.Kind != "Secret" {
		return fmt.Sprintf("the applier may not write %s: it %s. Grant it that, or remove the object", o, message[i:])
	}
	if o.Kind == "Secret" {
		return fmt.Sprintf("the cluster forbids %s", asked(o, removal))
	}
	return fmt.Sprintf("the cluster forbids %s: %s", asked(o, removal), withoutValues(message))
}

// redact writes what the API server says without the values that it quotes;
// of a Secret, path and code alone.
func redact(o events.Object, s metav1.Status) string {
	if s.Details != nil && len(s.Details.Causes) > 0 {
		parts := make([]string, 0, len(s.Details.Causes))
		for _, c := range s.Details.Causes {
			part := c.Field + ": " + string(c.Type)
			if o.Kind != "Secret" {
				part = c.Field + ": " + withoutValues(c.Message)
			}
			parts = append(parts, part)
		}
		return strings.Join(parts, "; ")
	}
	if o.Kind == "Secret" {
		return fmt.Sprintf("%s (%d)", s.Reason, s.Code)
	}
	return withoutValues(s.Message)
}

// quoted are the values in messages of k8s.io/apimachinery/pkg/util/validation/field.
var quoted = regexp.MustCompile(`(?s)((?:Invalid|Unsupported|Duplicate) value|Not found): (?:"(?:[^"\\]|\\.)*"|\{.*\}|\[.*\]|[^:;,]+)`)

func withoutValues(message string) string { return quoted.ReplaceAllString(message, "$1") }

// cut shortens a message for an event.
func cut(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= maxMessage {
		return s
	}
	n := maxMessage
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
