// SPDX-License-Identifier: Apache-2.0

package events

// Manifests is what is known of a revision's bundle.
type Manifests struct {
	Revision    Revision    `json:"revision"`
	Declaration Declaration `json:"declaration"`
	// DeclarationDigest is sha256:<hex> of the canonical declaration.
	DeclarationDigest string `json:"declarationDigest"`
	// Digest is the bundle's: sha256:<hex> over what its objects declare and
	// the namespace that they default to.
	Digest string `json:"digest"`
	// Bundle is the sealed bundle.
	Bundle  Blob            `json:"bundle"`
	Objects DeclaredObjects `json:"objects"`
	// ReadSet is the digest of what was read to make it, and how many paths
	// that is.
	ReadSet ReadSet `json:"readSet"`
	// Renderer is the version of the renderer that made it.
	Renderer string `json:"renderer"`
}

// ReadSet identifies everything that a render read of its tree.
type ReadSet struct {
	Digest string `json:"digest"` // sha256:<hex> over path and Git object id, look-ups that found nothing included
	Paths  int    `json:"paths"`
}

// ManifestsRendered is a bundle that differs from that of the revision
// before, or that follows a failure.
type ManifestsRendered struct {
	Manifests
	// Cached says that the bundle was known already and nothing was rendered.
	Cached bool `json:"cached,omitempty"`
	// RecoveredFrom is the sequence of the failed revision before it.
	RecoveredFrom uint64 `json:"recoveredFrom,omitempty"`
}

// ManifestsUnchanged is a revision whose bundle equals that of the revision
// before it by sequence.
type ManifestsUnchanged struct {
	Manifests
	// Rendered says that it took a render to know: something that the
	// application reads has changed.
	Rendered bool `json:"rendered,omitempty"`
}

// RenderFailed is a revision that can't be rendered. The cluster stays as it
// is.
type RenderFailed struct {
	Revision    Revision    `json:"revision"`
	Declaration Declaration `json:"declaration"`
	Reason      Reason      `json:"reason"`
	Message     string      `json:"message"`        // for people
	File        string      `json:"file,omitempty"` // at fault, from the root of the repository
	Line        int         `json:"line,omitempty"` // 1-based; 0: unknown
	// Object is the object at fault, where one is.
	Object *Object `json:"object,omitempty"`
}

func (*ManifestsRendered) payload()  {}
func (*ManifestsUnchanged) payload() {}
func (*RenderFailed) payload()       {}
