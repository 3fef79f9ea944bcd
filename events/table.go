// SPDX-License-Identifier: Apache-2.0

package events

// Types is every type of event, in the order of a commit's life.
var Types = []Type{
	{"commit", "observed", ScopeApplication, "watcher", "A new revision for an application: a new commit, or a changed declaration.", &CommitObserved{}},
	{"commit", "rejected", ScopeApplication, "watcher", "A commit refused: signature, policy, history or size. The revision before it stays.", &CommitRejected{}},
	{"source", "unreachable", ScopeKey, "watcher", "A repository can't be read. Once per outage; the last good state stays.", &SourceUnreachable{}},
	{"source", "recovered", ScopeKey, "watcher", "A repository can be read again. Once per outage.", &SourceRecovered{}},
	{"fleet", "observed", ScopeCluster, "watcher", "The complete list of applications declared for one cluster.", &FleetObserved{}},
	{"fleet", "rejected", ScopeKey, "watcher", "A declaration refused, with file, line and field. Only its own application is held.", &FleetRejected{}},
	{"application", "withdrawn", ScopeApplication, "applier", "An application that is no longer declared was deleted, orphaned, passed on or held.", &ApplicationWithdrawn{}},
	{"manifests", "rendered", ScopeApplication, "renderer", "A bundle: digest, objects and what was read to make it.", &ManifestsRendered{}},
	{"manifests", "unchanged", ScopeApplication, "renderer", "A revision whose bundle equals that of the revision before it.", &ManifestsUnchanged{}},
	{"render", "failed", ScopeApplication, "renderer", "Why a revision can't be rendered, at which file and line.", &RenderFailed{}},
	{"convergence", "applied", ScopeApplication, "applier", "The API server accepted every object of the bundle.", &ConvergenceApplied{}},
	{"convergence", "completed", ScopeApplication, "applier", "Applied and healthy: live equals Git.", &ConvergenceCompleted{}},
	{"convergence", "failed", ScopeApplication, "applier", "Why a revision did not converge.", &ConvergenceFailed{}},
	{"convergence", "degraded", ScopeApplication, "applier", "A converged application lost its health.", &ConvergenceDegraded{}},
	{"convergence", "held", ScopeApplication, "applier", "Waits for an approval: a guard stands before what would be deleted.", &ConvergenceHeld{}},
	{"convergence", "superseded", ScopeApplication, "applier", "A newer revision came; this one is left out.", &ConvergenceSuperseded{}},
	{"convergence", "rolledback", ScopeApplication, "applier", "Went back to the last good bundle. Reserved: nothing publishes it yet.", &ConvergenceRolledBack{}},
	{"divergence", "detected", ScopeKey, "auditor", "Live differs from Git: what, which tool, when, against which line of Git.", &DivergenceDetected{}},
	{"divergence", "persisted", ScopeKey, "auditor", "A divergence is older than the application's alertAfter.", &DivergencePersisted{}},
	{"divergence", "resolved", ScopeKey, "auditor", "A divergence is gone.", &DivergenceResolved{}},
	{"audit", "limited", ScopeApplication, "auditor", "Which objects of an application are not audited, or not wholly, and why; none: all are again.", &AuditLimited{}},
	{"alert", "delivered", ScopeKey, "notifier", "An alert reached its channel: where, and the thread.", &AlertDelivered{}},
	{"alert", "failed", ScopeKey, "notifier", "An alert can't be delivered, and why.", &AlertFailed{}},
	{"message", "rejected", ScopeKey, "any", "An input that can't be decoded, is on the wrong subject, or was counted out. The original is a blob.", &MessageRejected{}},
	{"sync", "requested", ScopeApplication, "operator", "Look now.", &SyncRequested{}},
	{"approval", "given", ScopeApplication, "operator", "What is held under this digest may go.", &ApprovalGiven{}},
}
