// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/plumbline-dev/plumbline/events"
)

// Digest is sha256:<hex> over what a declaration says. Where it stands in the
// fleet (file and line) is left out: moving it changes nothing.
func Digest(d events.Declaration) string {
	d.File, d.Line = "", 0
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(d); err != nil {
		panic("fleet: a declaration can't be encoded: " + err.Error()) // it holds texts, numbers and lists alone
	}
	sum := sha256.Sum256(b.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Lists is, per cluster, the complete list of its applications in order of
// name: of [LocalCluster], of every cluster that is or was declared, and of
// every other that has an application. That of a cluster that is no longer
// declared ends up empty: what it had is withdrawn as anywhere. They are
// complete only where State.Complete says so.
func (s State) Lists() map[string][]events.FleetEntry {
	lists := map[string][]events.FleetEntry{LocalCluster: {}}
	for _, c := range s.Clusters {
		lists[c.Name] = []events.FleetEntry{}
	}
	for _, name := range s.Left {
		lists[name] = []events.FleetEntry{}
	}
	for _, e := range s.Applications {
		if e.Cluster != "" && lists[e.Cluster] == nil {
			lists[e.Cluster] = []events.FleetEntry{}
		}
	}
	for _, e := range s.Applications {
		entry := events.FleetEntry{Application: e.Name, Held: e.Held}
		if e.Declaration != nil {
			source := e.Declaration.Source
			entry.DeclarationDigest, entry.Repository, entry.Ref = Digest(*e.Declaration), source.Repository, source.Ref()
		}
		for cluster := range lists {
			if e.Cluster == "" || e.Cluster == cluster {
				lists[cluster] = append(lists[cluster], entry)
			}
		}
	}
	return lists
}

// Key tells rejections apart: one per file, kind and name. It is the last
// token of a fleet.rejected's subject.
func (r Rejection) Key() string {
	text, err := json.Marshal([]string{r.File, r.Kind, r.Name})
	if err != nil {
		panic("fleet: texts can't be encoded: " + err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// Payload is the fleet.rejected of r in the fleet's commit. A long list of
// held applications is cut; HeldCount counts them all.
func (r Rejection) Payload(commit string) *events.FleetRejected {
	var reason events.Reason
	if len(r.Problems) > 0 {
		reason = r.Problems[0].Reason
	}
	return &events.FleetRejected{
		Kind: r.Kind, Name: r.Name, File: r.File, Reason: reason, Problems: r.Problems, Commit: commit,
		Holds: r.Holds[:min(len(r.Holds), events.MaxInline)], HeldCount: len(r.Holds),
	}
}
