// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"sync"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/bus"
	"github.com/plumbline-dev/plumbline/internal/bus/bustest"
	"github.com/plumbline-dev/plumbline/internal/process"
)

func TestRedelivery(t *testing.T) {
	bustest.Redeliver(t, redelivery(func(tb testing.TB, c *bus.Conn) bus.Handler { return rendererOn(tb, c).handle }))
}

// One that goes on, with what it remembers.
func TestRedeliveryToTheSameRenderer(t *testing.T) {
	var mu sync.Mutex
	running := map[*bus.Conn]*renderer{}
	bustest.Redeliver(t, redelivery(func(tb testing.TB, c *bus.Conn) bus.Handler {
		mu.Lock()
		defer mu.Unlock()
		if running[c] == nil {
			running[c] = rendererOn(tb, c)
		}
		return running[c].handle
	}))
}

func rendererOn(tb testing.TB, c *bus.Conn) *renderer {
	r := newRenderer(c, settings{Config: Config{Workers: 1}, limits: testLimits, key: sourceKey(tb)}, process.Env{Version: "test", Log: bustest.Log(tb)})
	tb.Cleanup(r.pool.close)
	return r
}

func redelivery(handler func(testing.TB, *bus.Conn) bus.Handler) bustest.Redelivery {
	secret := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: hunter2}\n"
	apps := []map[string]string{
		{"app/a.yaml": configMap("a", "x")},
		{"app/a.yaml": secret},
		{"app/a.yaml": "a: b: c"},
		{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": configMap("a", "x")},
		{"other/a.yaml": "x"},
	}
	return bustest.Redelivery{
		User: "renderer",
		Inputs: func(tb testing.TB, s *bustest.Server) []bustest.Input {
			l := labOn(tb, s)
			var inputs []bustest.Input
			for round := range 2 {
				for i, files := range apps {
					repo := newRepo(tb)
					tree := repo.tree(with(files, map[string]string{"round": fmt.Sprint(round)})).String()
					cause, draft := l.commit(l.app(fmt.Sprintf("app%d", i), "app"), tree, l.source(repo, tree))
					inputs = append(inputs, bustest.Input{User: "watcher", Cause: cause, Draft: draft})
				}
			}
			return inputs
		},
		Handler: handler,
	}
}
