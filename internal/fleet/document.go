// SPDX-License-Identifier: Apache-2.0

package fleet

import "github.com/plumbline-dev/plumbline/events"

// APIVersion is the apiVersion of every declaration.
const APIVersion = "plumbline.dev/v1alpha1"

// The kinds of declaration.
const (
	KindRepository  = "Repository"
	KindCluster     = "Cluster"
	KindApplication = "Application"
)

// LocalCluster is the cluster that needs no declaration.
const LocalCluster = "local"

// The documents below are what a fleet's files hold. They are the one source
// of what is allowed: the reader, the JSON Schemas in docs/schema and
// docs/declarations.md are derived from them. A field without "omitempty" is
// required.

// RepositoryDocument declares a Git repository to read from.
type RepositoryDocument struct {
	APIVersion string         `json:"apiVersion" jsonschema:"enum=plumbline.dev/v1alpha1"`
	Kind       string         `json:"kind" jsonschema:"enum=Repository"`
	Metadata   Metadata       `json:"metadata"`
	Spec       RepositorySpec `json:"spec"`
}

// ClusterDocument declares a cluster to converge. The cluster "local" needs no
// declaration.
type ClusterDocument struct {
	APIVersion string      `json:"apiVersion" jsonschema:"enum=plumbline.dev/v1alpha1"`
	Kind       string      `json:"kind" jsonschema:"enum=Cluster"`
	Metadata   Metadata    `json:"metadata"`
	Spec       ClusterSpec `json:"spec"`
}

// ApplicationDocument declares an application: what to converge, from where,
// to which cluster, and by which policy.
type ApplicationDocument struct {
	APIVersion string          `json:"apiVersion" jsonschema:"enum=plumbline.dev/v1alpha1"`
	Kind       string          `json:"kind" jsonschema:"enum=Application"`
	Metadata   Metadata        `json:"metadata"`
	Spec       ApplicationSpec `json:"spec"`
}

// Metadata names a declaration.
type Metadata struct {
	// Unique among the declarations of its kind: a DNS label (RFC 1123), at
	// most 63 of a-z, 0-9 and "-", which stands neither first nor last.
	Name string `json:"name" jsonschema:"pattern=^[a-z0-9]([a-z0-9-]{0\\,61}[a-z0-9])?$"`
}

// RepositorySpec says where a repository is and how often it is looked at.
type RepositorySpec struct {
	// https, http, ssh, file or user@host:path. Credentials never stand in
	// it: they are files in the watcher's credentials folder.
	URL string `json:"url"`
	// How often the repository is looked at, webhooks apart: 1s to 24h.
	Interval events.Duration `json:"interval,omitempty" jsonschema:"default=30s"`
}

// ClusterSpec says what is needed to prepare bundles for a cluster.
type ClusterSpec struct {
	// The age recipient (age1…) that the cluster's Secrets are sealed to; its
	// identity is in that cluster's applier alone.
	Recipient string `json:"recipient"`
}

// ApplicationSpec is everything about an application but its name.
type ApplicationSpec struct {
	Source SourceSpec `json:"source"`
	// The cluster that it converges to.
	Cluster string `json:"cluster,omitempty" jsonschema:"default=local"`
	// The namespace of namespaced objects that name none.
	Namespace string `json:"namespace,omitempty"`
	// Whether that namespace is created where it is missing.
	CreateNamespace bool         `json:"createNamespace,omitempty" jsonschema:"default=false"`
	Converge        ConvergeSpec `json:"converge,omitempty"`
	// What becomes of its objects when it is no longer declared: they are
	// deleted, or orphaned, which is to say left as they are. Default: delete
	// where converge.prune is on, else orphan.
	Deletion string    `json:"deletion,omitempty" jsonschema:"enum=delete,enum=orphan"`
	Audit    AuditSpec `json:"audit,omitempty"`
}

// SourceSpec says what of which repository an application is made of. At most
// one of branch, tag and commit is given; without any it is branch main.
type SourceSpec struct {
	// The name of a declared Repository.
	Repository string `json:"repository"`
	// The branch to follow. Default: main.
	Branch string `json:"branch,omitempty"`
	// The tag to follow.
	Tag string `json:"tag,omitempty"`
	// The commit to stay at: its full object id.
	Commit string `json:"commit,omitempty"`
	// The folder with the manifests, from the root of the repository.
	Path string `json:"path,omitempty" jsonschema:"default=."`
}

// ConvergeSpec is the policy of writing.
type ConvergeSpec struct {
	// Either auto, or observe: render and audit, and never write.
	Mode string `json:"mode,omitempty" jsonschema:"enum=auto,enum=observe,default=auto"`
	// Whether objects that are no longer in Git are deleted.
	Prune bool `json:"prune,omitempty" jsonschema:"default=true"`
	// How long a revision may take to become healthy: 1s to 24h.
	Timeout events.Duration `json:"timeout,omitempty" jsonschema:"default=5m"`
}

// AuditSpec is the policy of comparing live with Git.
type AuditSpec struct {
	// Whether a divergence is healed.
	Heal bool `json:"heal,omitempty" jsonschema:"default=true"`
	// How long a divergence may last before it is alerted: 0s to 24h.
	AlertAfter events.Duration `json:"alertAfter,omitempty" jsonschema:"default=2m"`
	// Fields that others may own.
	Ignore []IgnoreSpec `json:"ignore,omitempty"`
}

// IgnoreSpec takes one field of some objects out of audit and, once another
// manager owns it, out of what is applied.
type IgnoreSpec struct {
	// The objects' API group; without it, every group.
	Group string `json:"group,omitempty"`
	// The objects' kind.
	Kind string `json:"kind"`
	// The object's name; without it, every name.
	Name string `json:"name,omitempty"`
	// The field, as a JSON pointer (RFC 6901).
	Path string `json:"path" jsonschema:"pattern=^/.+"`
}

// defaults is an application of which nothing is said yet. Branch and deletion
// depend on what else is said.
func defaults() ApplicationSpec {
	return ApplicationSpec{
		Source:   SourceSpec{Path: "."},
		Cluster:  LocalCluster,
		Converge: ConvergeSpec{Mode: string(events.ModeAuto), Prune: true, Timeout: minutes(5)},
		Audit:    AuditSpec{Heal: true, AlertAfter: minutes(2)},
	}
}
