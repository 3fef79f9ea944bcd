// SPDX-License-Identifier: Apache-2.0

// Command renderer runs the renderer alone; see package services/renderer.
package main

import (
	"github.com/plumbline-dev/plumbline/internal/process"
	"github.com/plumbline-dev/plumbline/services/renderer"
)

const about = "Renderer makes bundles of revisions, from plain YAML and Kustomize:\nmanifests.rendered, manifests.unchanged, render.failed."

const example = "renderer --nats-creds keys/renderer.nk --source-key source.key"

func main() {
	renderer.ServeChild()
	process.Main("renderer", about, example, renderer.Command)
}
