// SPDX-License-Identifier: Apache-2.0

package badinput

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
	"github.com/plumbline-dev/plumbline/test/gitserver"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// driveFleet commits the inputs to the fleet: in one commit those whose
// declarations have a name, in another those that can't be read, since what
// can't be read may declare what others lack. In the end all but those that
// are valid are mended, by being removed.
func driveFleet(t *testing.T, s *stage, inputs []Input) {
	waves := [2][]Input{}
	var remove []string
	for _, in := range inputs {
		n := 0
		if in.unreadable(t) {
			n = 1
		}
		waves[n] = append(waves[n], in)
		if in.Want.Event == "fleet.rejected" {
			remove = append(remove, folderOf(in))
		}
	}
	for _, wave := range waves {
		since := s.now()
		if err := s.commitDeclarations(wave); err != nil {
			t.Fatal(err)
		}
		s.each(t, wave, func(t *testing.T, in Input) {
			if err := s.await(in, since, func(e rig.Seen) bool { return about(e, in) }); err != nil {
				t.Error(err)
			}
		})
	}
	mark := s.Bus.Mark()
	if err := s.commitFleet(nil, remove...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.alive, patience)
	defer cancel()
	_, err := s.Bus.Wait(ctx, mark, func(e rig.Seen) bool {
		d, ok := e.Data.(*events.FleetObserved)
		return ok && d.RejectionCount == 0 && d.Held == 0
	})
	if err != nil {
		t.Errorf("the fleet without the bad files: %v", err)
	}
}

func folderOf(in Input) string { return "bad/" + in.ID() }

// about says whether an event is about an input's declarations.
func about(e rig.Seen, in Input) bool {
	switch d := e.Data.(type) {
	case *events.FleetRejected:
		return strings.HasPrefix(d.File, folderOf(in)+"/") || d.File == folderOf(in)
	case *events.SourceUnreachable:
		return d.Repository == in.ID() || "Repository/"+d.Repository == in.Want.Object
	}
	return false
}

// unreadable says whether something of an input can't be told by kind and
// name.
func (in Input) unreadable(t *testing.T) bool {
	t.Helper()
	entries, err := in.Tree()
	if err != nil {
		t.Fatal(err)
	}
	var files []fleet.File
	for _, e := range entries {
		if e.Mode != "100644" {
			return true
		}
		files = append(files, fleet.File{Path: e.Path, Data: e.Data})
	}
	for _, r := range fleet.Parse(files).Rejections {
		if r.Name == "" {
			return true
		}
	}
	return false
}

// commitDeclarations commits inputs below a folder each.
func (s *stage) commitDeclarations(inputs []Input) error {
	files, links := map[string]string{}, map[string]string{}
	for _, in := range inputs {
		entries, err := in.Tree()
		if err != nil {
			return err
		}
		for _, e := range entries {
			path := folderOf(in) + "/" + e.Path
			switch e.Mode {
			case "120000":
				links[path] = string(e.Data)
			case "160000":
				// An empty folder is what Git leaves of a submodule.
				if err := os.MkdirAll(filepath.Join(s.Fleet.Work, path), 0o755); err != nil {
					return err
				}
				if _, err := s.Fleet.Git("update-index", "--add", "--cacheinfo", "160000,"+string(e.Data)+","+path); err != nil {
					return err
				}
			default:
				files[path] = string(e.Data)
			}
		}
	}
	for path := range links {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(s.Fleet.Work, path)), 0o755); err != nil {
			return err
		}
	}
	return s.commitChange(gitserver.Commit{Files: files, Links: links, Message: "Declare what can't be declared"})
}
