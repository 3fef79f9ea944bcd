// SPDX-License-Identifier: Apache-2.0

package failpoint

// Point is a place that a process comes by.
type Point string

// The points, in the order in which a commit comes by them.
const (
	// WatcherBeforeFetch is after the refs are listed, where something is to be
	// fetched.
	WatcherBeforeFetch Point = "watcher.before-fetch"
	// WatcherMidFetch is when a pack is on disk and not yet part of the mirror.
	WatcherMidFetch Point = "watcher.mid-fetch"
	// WatcherBeforePublish is when the source is stored, and the revision not.
	WatcherBeforePublish Point = "watcher.before-publish"
	// WatcherAfterPublish is when the revision is stored, and not remembered.
	WatcherAfterPublish Point = "watcher.after-publish"

	// RendererOnReceipt is when a revision has come.
	RendererOnReceipt Point = "renderer.on-receipt"
	// RendererMidRender is when a child has been asked to render.
	RendererMidRender Point = "renderer.mid-render"
	// RendererChildReads is when a child has read a file. No rule reaches it, as a
	// child has no environment: what the file says does, see [Read].
	RendererChildReads Point = "renderer.child-reads"
	// RendererAfterBundle is when a bundle is stored, and no event names it.
	RendererAfterBundle Point = "renderer.after-bundle"

	// ApplierBeforeWiden is before the inventory is widened and the fence raised.
	ApplierBeforeWiden Point = "applier.before-widen"
	// ApplierBeforeApply is after that, before the first object.
	ApplierBeforeApply Point = "applier.before-apply"
	// ApplierAfterObject is after each object that was written.
	ApplierAfterObject Point = "applier.after-object"
	// ApplierBeforePrune is between the last write and the first deletion.
	ApplierBeforePrune Point = "applier.before-prune"
	// ApplierAfterPrune is after each deletion that was accepted.
	ApplierAfterPrune Point = "applier.after-prune"
	// ApplierBeforeNarrow is when all is done, and the inventory doesn't say so.
	ApplierBeforeNarrow Point = "applier.before-narrow"

	// AuditorAfterDetect is when a transition of a divergence was found, and not
	// published.
	AuditorAfterDetect Point = "auditor.after-detect"

	// NotifierAfterPost is when Slack has taken a message, and no event says so.
	NotifierAfterPost Point = "notifier.after-post"

	// BusAfterPublish is when the events that a handler returned are stored, and
	// its input is not acknowledged.
	BusAfterPublish Point = "bus.after-publish"
)

// Points are all of them: a rule that names another would test nothing.
func Points() []Point {
	return []Point{
		WatcherBeforeFetch, WatcherMidFetch, WatcherBeforePublish, WatcherAfterPublish,
		RendererOnReceipt, RendererMidRender, RendererChildReads, RendererAfterBundle,
		ApplierBeforeWiden, ApplierBeforeApply, ApplierAfterObject, ApplierBeforePrune, ApplierAfterPrune, ApplierBeforeNarrow,
		AuditorAfterDetect, NotifierAfterPost, BusAfterPublish,
	}
}
