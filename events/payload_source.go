// SPDX-License-Identifier: Apache-2.0

package events

import "time"

// CommitObserved is a new revision for an application.
type CommitObserved struct {
	Revision    Revision    `json:"revision"`
	Declaration Declaration `json:"declaration"`
	// DeclarationDigest is sha256:<hex> of the canonical declaration.
	DeclarationDigest string `json:"declarationDigest"`
	// Source is the encrypted pack of the commit's whole tree.
	Source Blob `json:"source"`
	// FleetCommit is the commit of the fleet repository that declares the
	// application so.
	FleetCommit string `json:"fleetCommit"`
}

// CommitRejected is a commit that was refused; the revision before it stays.
type CommitRejected struct {
	Repository string `json:"repository"` // its name in the fleet
	Ref        string `json:"ref"`        // fully qualified: refs/heads/main
	Commit     string `json:"commit"`     // full object id
	Author     Person `json:"author"`
	Reason     Reason `json:"reason"`
	Message    string `json:"message"` // for people
}

// SourceUnreachable is the start of an outage of a repository, or of a ref in
// it: the branch deleted, the repository emptied.
type SourceUnreachable struct {
	Repository string    `json:"repository"` // its name in the fleet
	URL        string    `json:"url"`        // without credentials
	Reason     Reason    `json:"reason"`
	Message    string    `json:"message"` // for people
	Since      time.Time `json:"since"`   // start of the outage
	// Refs are the refs that are gone, where the repository itself answers, at
	// most [MaxInline] of them.
	Refs []string `json:"refs,omitempty"`
	// Applications are those that stay at their last good state meanwhile, at
	// most [MaxInline] of them.
	Applications []string `json:"applications,omitempty"`
}

// SourceRecovered is the end of an outage.
type SourceRecovered struct {
	Repository string    `json:"repository"` // its name in the fleet
	URL        string    `json:"url"`        // without credentials
	Since      time.Time `json:"since"`      // start of the outage
	After      Duration  `json:"after"`      // how long it lasted
}

// FleetObserved is the complete list of the applications that the fleet
// declares for one cluster.
type FleetObserved struct {
	URL    string `json:"url"`    // of the fleet's repository, without credentials
	Path   string `json:"path"`   // of the fleet's folder in it
	Commit string `json:"commit"` // of the fleet's repository
	// Count is the number of entries in List, a JSON array of [FleetEntry]:
	// application, declarationDigest, repository, ref and held.
	Count int  `json:"count"`
	Held  int  `json:"held"` // how many of them are held
	List  Blob `json:"list"`
	// Rejections are the keys of the fleet.rejected that still hold, in order
	// and at most [MaxInline] of them; RejectionCount counts them all. Both are
	// in the list of cluster local alone, which every fleet has.
	Rejections     []string `json:"rejections,omitempty"`
	RejectionCount int      `json:"rejectionCount,omitempty"`
}

// FleetEntry is one application of a fleet list.
type FleetEntry struct {
	Application string `json:"application"`
	// DeclarationDigest is empty for an application that is held before a
	// valid declaration of it was ever seen.
	DeclarationDigest string `json:"declarationDigest,omitempty"`
	// Repository and Ref are what it follows: the repository's name in the
	// fleet, and the ref as [SourceSpec.Ref] has it. Both are empty where
	// DeclarationDigest is, and in lists from before there were such fields.
	Repository string `json:"repository,omitempty"`
	Ref        string `json:"ref,omitempty"`
	// Held says that its declaration is invalid now: what it declared before
	// stays, and it is not withdrawn.
	Held bool `json:"held,omitempty"`
}

// FleetRejected is a declaration, or a whole file, that was refused.
type FleetRejected struct {
	Kind     string    `json:"kind,omitempty"`   // of the declaration, where it can be told
	Name     string    `json:"name,omitempty"`   // of the declaration, where it can be told
	File     string    `json:"file"`             // from the root of the fleet's repository
	Reason   Reason    `json:"reason,omitempty"` // that of the first problem
	Problems []Problem `json:"problems"`
	Commit   string    `json:"commit"` // of the fleet's repository
	// Holds are the applications that stay as they were declared before, at
	// most [MaxInline] of them; HeldCount counts them all.
	Holds     []string `json:"holds,omitempty"`
	HeldCount int      `json:"heldCount,omitempty"` // how many applications it holds
}

// Problem is one fault in a declaration.
type Problem struct {
	Line    int    `json:"line"`            // 1-based; 0: unknown
	Field   string `json:"field,omitempty"` // spec.source.path
	Message string `json:"message"`         // what is wrong and what would be right
	Reason  Reason `json:"reason,omitempty"`
}

func (*CommitObserved) payload()    {}
func (*CommitRejected) payload()    {}
func (*SourceUnreachable) payload() {}
func (*SourceRecovered) payload()   {}
func (*FleetObserved) payload()     {}
func (*FleetRejected) payload()     {}
