// SPDX-License-Identifier: Apache-2.0

package fleet_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// model is a fleet as its authors mean it, and how its files are spoilt.
type model struct {
	home   map[string]string // application → file
	spoilt map[string]func(string) string
	bad    map[string]func(string) string // application → what is done to its document
	shop   func(string) string            // what is done to the repository's
}

var fileNames = []string{"a.yaml", "b.yml", "c/d.json.yaml", "e.yaml"}

// spoils of a whole file leave every name in it where it was.
var fileSpoils = []func(string) string{
	func(s string) string { return s + "---\nkind: [\n" },
	func(s string) string { return "}{\n" + s },
	func(s string) string { return strings.Replace(s, "  source", "\tsource", 1) + "\t:" },
	func(s string) string { return s + "# \xff\n" },
	func(s string) string { return s + "---\nx: &x 1\ny: *x\n" },
	func(s string) string { return s + "---\njust text\n" },
	func(s string) string { return s + filler },
}

// filler is more than a file may hold.
var filler = strings.Repeat("# filler\n", fleet.MaxFileSize/8)

// truncation takes names away too: what stays known is which file it was.
func truncation(string) string { return "apiVersion: plumbline.dev/v1alpha1\nkind: {" }

var documentSpoils = []func(string) string{
	func(s string) string { return s + "  typo: 1\n" },
	func(s string) string { return strings.Replace(s, "shop", "shoq", 1) },
	func(s string) string { return strings.Replace(s, "kind: Application", "kind: Applikation", 1) },
	func(s string) string { return strings.Replace(s, "v1alpha1", "v1alpha2", 1) },
	func(s string) string { return strings.Replace(s, "{name: ", "{nam: ", 1) },
	func(s string) string { return s + "  cluster: nowhere\n" },
	func(s string) string { return s + "---\n" + s },
}

func (m *model) clean() bool {
	return len(m.spoilt) == 0 && len(m.bad) == 0 && m.shop == nil
}

func (m *model) files() []fleet.File {
	texts := map[string]string{}
	for _, app := range slices.Sorted(maps.Keys(m.home)) {
		text := application(app)
		if spoil := m.bad[app]; spoil != nil {
			text = spoil(text)
		}
		texts[m.home[app]] += "---\n" + text
	}
	for name, spoil := range m.spoilt {
		texts[name] = spoil(texts[name])
	}
	texts["repos.yaml"] = repositoryShop
	if m.shop != nil {
		texts["repos.yaml"] = m.shop(repositoryShop)
	}
	var all []fleet.File
	for name, text := range texts {
		all = append(all, fleet.File{Path: name, Data: []byte(text)})
	}
	return all
}

// edit changes what is meant, then spoils or repairs.
func (m *model) edit(r *rand.Rand) {
	stayed := maps.Clone(m.home)
	for range r.IntN(3) {
		app := fmt.Sprintf("app-%d-x", r.IntN(8))
		switch file, there := m.home[app]; {
		case !there || r.IntN(2) == 0:
			m.home[app] = fileNames[r.IntN(len(fileNames))]
		case r.IntN(3) == 0:
			delete(m.home, app)
			delete(m.bad, app)
		default: // the whole file is renamed
			to := fileNames[r.IntN(len(fileNames))]
			for other, f := range m.home {
				if f == file {
					m.home[other] = to
				}
			}
		}
	}
	switch r.IntN(4) {
	case 0:
		m.spoilt, m.bad, m.shop = map[string]func(string) string{}, map[string]func(string) string{}, nil
	case 1:
		m.spoilt[fileNames[r.IntN(len(fileNames))]] = fileSpoils[r.IntN(len(fileSpoils))]
	case 2:
		if apps := slices.Sorted(maps.Keys(m.home)); len(apps) > 0 {
			m.bad[apps[r.IntN(len(apps))]] = documentSpoils[r.IntN(len(documentSpoils))]
		}
	case 3:
		if r.IntN(3) == 0 {
			m.shop = []func(string) string{
				func(s string) string { return s + "  typo: 1\n" }, func(string) string { return "" }, func(s string) string { return s + "kind: [" },
			}[r.IntN(3)]
			return
		}
		file := fileNames[r.IntN(len(fileNames))]
		for app, f := range m.home {
			if f == file && stayed[app] != file {
				return // what just came into it would leave no trace
			}
		}
		m.spoilt[file] = truncation
	}
}

// An application whose declaration is there, in whatever state, is never
// withdrawn; and where nothing is spoilt, exactly what is meant is in force.
func TestMergeNeverWithdrawsWhatIsUnknown(t *testing.T) {
	held := 0
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := &model{home: map[string]string{}, spoilt: map[string]func(string) string{}, bad: map[string]func(string) string{}}
		state := fleet.Merge(fleet.State{}, fleet.Parse(m.files()), recipient)
		for step := range 40 {
			// What a truncated file may no longer get, lest it leave no trace.
			for name, spoil := range m.spoilt {
				if spoil("") == truncation("") {
					delete(m.spoilt, name)
				}
			}
			m.edit(r)
			next := fleet.Merge(state, fleet.Parse(m.files()), recipient)
			in := map[string]fleet.Entry{}
			for _, e := range next.Applications {
				in[e.Name] = e
				if e.Held {
					held++
				}
			}
			for _, before := range state.Applications {
				_, meant := m.home[before.Name]
				after, there := in[before.Name]
				if meant && !there {
					t.Fatalf("seed %d, step %d: %s is withdrawn, and it is declared in %s\n%v", seed, step, before.Name, m.home[before.Name], m.files())
				}
				if there && before.Declaration != nil && after.Declaration == nil {
					t.Fatalf("seed %d, step %d: what %s declared is forgotten", seed, step, before.Name)
				}
			}
			if m.clean() {
				want := slices.Sorted(maps.Keys(m.home))
				if got := slices.Sorted(maps.Keys(in)); !slices.Equal(got, want) || strings.Contains(inForce(next), "[") {
					t.Fatalf("seed %d, step %d: in force %s, meant %v", seed, step, inForce(next), want)
				}
			}
			state = remember(t, next)
		}
	}
	if held < 1000 {
		t.Errorf("only %d applications were ever held: the model spoils too little", held)
	}
}
