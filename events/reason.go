// SPDX-License-Identifier: Apache-2.0

package events

// Reason is a stable code for why something failed, was refused or held.
// Codes are only ever added.
type Reason string

const (
	// Watcher.
	ReasonUnreachable    Reason = "unreachable"      // the repository doesn't answer
	ReasonUnauthorized   Reason = "unauthorized"     // it refuses our credentials
	ReasonRedirected     Reason = "redirected"       // it redirects to another host
	ReasonRefMissing     Reason = "ref_missing"      // a declared branch, tag or commit is gone
	ReasonEmpty          Reason = "empty_repository" // it has no refs
	ReasonSourceTooLarge Reason = "source_too_large" // the tree is over a limit
	ReasonSourceInvalid  Reason = "source_invalid"   // the server's answer is no valid pack
	ReasonSignature      Reason = "signature_rejected"
	ReasonHistory        Reason = "history_rejected"

	// Watcher, of the fleet's declarations.
	ReasonFileUnreadable   Reason = "file_unreadable"       // what may hold declarations can't be read
	ReasonDeclaration      Reason = "declaration_invalid"   // a field is missing, unknown or not what it must be
	ReasonNameInvalid      Reason = "name_invalid"          // of a declaration
	ReasonURLRefused       Reason = "url_refused"           // of a repository
	ReasonDeclaredTwice    Reason = "duplicate_declaration" // one kind and name twice
	ReasonReferenceUnknown Reason = "reference_unknown"     // to a repository or cluster that isn't declared, or not validly

	// Renderer.
	ReasonPathMissing     Reason = "path_missing"
	ReasonNoObjects       Reason = "no_objects"
	ReasonSyntax          Reason = "syntax"
	ReasonObjectInvalid   Reason = "object_invalid" // no kind, no name, generateName
	ReasonDuplicateObject Reason = "duplicate_object"
	ReasonKustomize       Reason = "kustomize"
	ReasonRemoteBase      Reason = "remote_base"
	ReasonOutsideTree     Reason = "outside_tree" // a path or symlink that leaves the tree
	ReasonPlugin          Reason = "plugin"
	ReasonTimeout         Reason = "timeout"
	ReasonMemory          Reason = "memory_limit"
	ReasonOutput          Reason = "output_limit"
	ReasonCrashed         Reason = "crashed"
	ReasonNoRecipient     Reason = "no_recipient" // a Secret, and no key to seal it to

	// Applier.
	ReasonRefused          Reason = "refused"      // the API server refuses an object
	ReasonForbidden        Reason = "forbidden"    // the API server denies us the right
	ReasonUnknownKind      Reason = "unknown_kind" // the cluster doesn't serve it
	ReasonImmutable        Reason = "immutable_field"
	ReasonOwnedByOther     Reason = "owned_by_other_application"
	ReasonNotPermitted     Reason = "not_permitted"
	ReasonUnhealthy        Reason = "unhealthy"         // not healthy within the timeout
	ReasonUnsealable       Reason = "unsealable"        // a sealed value doesn't open
	ReasonBundleMissing    Reason = "bundle_missing"    // the store has lost what is to be applied
	ReasonPruneGuard       Reason = "prune_guard"       // more would go than the guard lets
	ReasonProtectedKind    Reason = "protected_kind"    // a Namespace, CRD, PV or PVC would go
	ReasonWithdrawalGuard  Reason = "withdrawal_guard"  // more than 30 % of the fleet withdrawn at once
	ReasonClaimUnknown     Reason = "claim_unknown"     // another application may take over what would go
	ReasonDeletionBlocked  Reason = "deletion_blocked"  // a finalizer, or a refusal, keeps an object
	ReasonInventoryUnknown Reason = "inventory_unknown" // rebuilt: no prune before one full compare

	// Auditor.
	ReasonNoDigestKey Reason = "no_digest_key" // the values of a Secret can't be compared

	// Notifier.
	ReasonChannelMissing Reason = "channel_missing" // there is no such channel, or the app is not in it
	ReasonTokenRefused   Reason = "token_refused"   // Slack refuses the notifier's token
	ReasonAlertRefused   Reason = "alert_refused"   // Slack refuses the message or the app, for good

	// Any.
	ReasonBadEvent     Reason = "bad_event"
	ReasonWrongSubject Reason = "wrong_subject"
	ReasonIntegrity    Reason = "integrity_mismatch" // a digest doesn't fit its bytes
	ReasonVersion      Reason = "unknown_version"    // of an event
	ReasonQuarantined  Reason = "quarantined"        // failed too often; tried again with growing delay
)
