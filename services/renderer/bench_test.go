// SPDX-License-Identifier: Apache-2.0

package renderer

import (
	"fmt"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
)

// application is a folder of n objects, half of them Deployments.
func application(n int) map[string]string {
	files := map[string]string{}
	list := ""
	for i := range n {
		name := fmt.Sprintf("o%d", i)
		files["plain/"+name+".yaml"] = configMap(name, "x")
		if i%2 == 0 {
			files["plain/"+name+".yaml"] = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name + "}\nspec:\n  template:\n    spec:\n      containers:\n      - {name: c, image: c}\n"
		}
		files["base/"+name+".yaml"] = files["plain/"+name+".yaml"]
		list += "- " + name + ".yaml\n"
	}
	files["base/kustomization.yaml"] = "resources:\n" + list
	files["overlay/kustomization.yaml"] = "namePrefix: p-\nresources: [../base]\nimages: [{name: c, newTag: v2}]\n"
	return files
}

// BenchmarkRender shows what one render takes: cold with the start of its
// child, warm in one that has rendered before.
func BenchmarkRender(b *testing.B) {
	for _, n := range []int{10, 200} {
		tr := unpacked(b, application(n))
		for _, folder := range []string{"plain", "overlay"} {
			b.Run(fmt.Sprintf("%s/%d/warm", folder, n), func(b *testing.B) {
				p := testPool(b, 1, testLimits)
				for b.Loop() {
					render(b, p, tr, folder)
				}
			})
			b.Run(fmt.Sprintf("%s/%d/cold", folder, n), func(b *testing.B) {
				for b.Loop() {
					p := newPool(1, testLimits, nil)
					render(b, p, tr, folder)
					p.close()
				}
			})
		}
	}
}

func render(b *testing.B, p *pool, tr *tree, folder string) {
	b.Helper()
	out, err := p.render(b.Context(), tr, folder)
	if err != nil || out.Failure != nil {
		b.Fatal(out.Failure, err)
	}
}

// BenchmarkReadSet shows what it takes to know that nothing has changed.
func BenchmarkReadSet(b *testing.B) {
	tr := unpacked(b, application(200))
	p := testPool(b, 1, testLimits)
	out, err := p.render(b.Context(), tr, "overlay")
	if err != nil || out.Failure != nil {
		b.Fatal(out.Failure, err)
	}
	for b.Loop() {
		if ok, err := out.reads.holds(tr); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
	b.ReportMetric(float64(len(out.reads)), "paths")
}

// BenchmarkCommit shows the time from commit.observed to its outcome on a
// real bus.
func BenchmarkCommit(b *testing.B) {
	for name, change := range map[string]string{"rendered": "plain/o1.yaml", "unchanged": "README.md"} {
		b.Run(name, func(b *testing.B) {
			l := newLab(b)
			l.start()
			d := l.app("web", "plain")
			files := application(20)
			l.outcome(l.push(d, files))
			var last events.Event
			for i := 0; b.Loop(); i++ {
				b.StopTimer()
				files[change] = configMap("o1", fmt.Sprintf("v%d", i))
				repo := newRepo(b)
				tree := repo.tree(files).String()
				source := l.source(repo, tree)
				b.StartTimer()
				last = l.outcome(l.announce(d, tree, source))
			}
			if last.Type == typeFailed {
				b.Fatalf("%+v", last.Data)
			}
		})
	}
}
