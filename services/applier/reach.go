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

// scope is the namespace that o is watched in; empty: all of them.
func (r reach) scope(o events.Object) string {
	if len(r) == 0 {
		return ""
	}
	return o.Namespace
}

// lists are the namespaces in which a kind is listed one by one; one that is
// empty stands for all of them.
func (r reach) lists() []string {
	if len(r) == 0 {
		return []string{""}
	}
	return r
}

// deny says, for people, why o is out of reach and what to do.
func (r reach) deny(o events.Object) string {
	held := "the applier is held to the namespaces " + strings.Join(r, ", ") + " (--namespaces)"
	if o.Namespace == "" {
		return fmt.Sprintf("%s is of the whole cluster, and %s: have somebody apply it who may, or give the applier a ClusterRole that grants it and leave --namespaces out", o, held)
	}
	return fmt.Sprintf("%s is in the namespace %s, and %s: grant the applier there what it is granted in those, and add %s to --namespaces", o, o.Namespace, held, o.Namespace)
}
