// SPDX-License-Identifier: Apache-2.0

package applier

import (
	"fmt"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

// reach is the namespaces that an applier is held to; empty: the whole
// cluster. It follows from the rights that the cluster grants: where those are
// Roles in some namespaces, a kind can't be listed everywhere, and what lies
// elsewhere is refused before anything of its bundle is written.
type reach []string

// holds says whether o, with its namespace filled in, may be ours.
func (r reach) holds(o events.Object) bool {
	return len(r) == 0 || o.Namespace != "" && slices.Contains(r, o.Namespace)
}

// scope is the namespace that o is watched in; empty: all of them. Secrets are
// watched where they are declared alone, so that nobody has to grant the applier
// those of the whole cluster.
func (r reach) scope(o events.Object) string {
	if len(r) == 0 && !secret(o.Group, o.Kind) {
		return ""
	}
	return o.Namespace
}

func secret(group, kind string) bool { return group == "" && kind == "Secret" }

// lists are the namespaces in which a kind is listed one by one; one that is
// empty stands for all of them. declared are those that the application whose
// objects are looked for declares something in.
func (r reach) lists(group, kind string, declared []string) []string {
	switch {
	case len(r) > 0:
		return r
	case secret(group, kind):
		return append([]string{""}, declared...) // all of them, where that is granted
	}
	return []string{""}
}

// deny says, for people, why o is out of reach and what to do.
func (r reach) deny(o events.Object) string {
	held := "the applier is held to the namespaces " + strings.Join(r, ", ") + " (--namespaces)"
	if o.Namespace == "" {
		return fmt.Sprintf("%s is of the whole cluster, and %s: have somebody apply it who may, or give the applier a ClusterRole that grants it and leave --namespaces out", o, held)
	}
	return fmt.Sprintf("%s is in the namespace %s, and %s: grant the applier there what it is granted in those, and add %s to --namespaces", o, o.Namespace, held, o.Namespace)
}
