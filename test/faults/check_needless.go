// SPDX-License-Identifier: Apache-2.0

package faults

import "fmt"

// checkNeedless decides I3: a write of Plumbline's that changes nothing, and
// any write of it, of an object or of an inventory, while nothing but a repeated
// delivery happens.
func checkNeedless(h History) []finding {
	var found []finding
	objects, inventories := map[string]State{}, map[string]Inventory{}
	quiet := false
	for i, r := range h {
		switch {
		case r.Begun != nil:
			quiet = r.Begun.Quiet
		case r.Relist:
			objects, inventories = map[string]State{}, map[string]Inventory{}
		case r.Quiet != nil, r.Ref != nil: // what is put right at the end of a round is work again
			quiet = false
		case r.Object != nil:
			was, known := objects[r.Object.Key]
			objects[r.Object.Key] = *r.Object
			if text := needless(was, *r.Object, known, quiet); text != "" {
				found = append(found, finding{"I3", i, text})
			}
		case r.Gone != nil:
			delete(objects, r.Gone.Key)
			if quiet && r.Gone.App != "" && !r.Gone.Listed {
				found = append(found, finding{"I3", i, fmt.Sprintf("%s was deleted at %d while everything was only delivered again", r.Gone.Key, r.Gone.Version)})
			}
		case r.Inventory != nil:
			was, known := inventories[r.Inventory.App]
			inventories[r.Inventory.App] = *r.Inventory
			if quiet && (known && r.Inventory.Version > was.Version || !r.Inventory.Listed) {
				found = append(found, finding{"I3", i, fmt.Sprintf("the inventory of %s was written while everything was only delivered again: %d became %d", r.Inventory.App, was.Version, r.Inventory.Version)})
			}
		}
	}
	return found
}

// needless says what is needless about a write of an object, or "".
func needless(was, s State, known, quiet bool) string {
	switch {
	case quiet && s.App != "" && !known && !s.Listed:
		return fmt.Sprintf("%s was made at %d while everything was only delivered again", s.Key, s.Version)
	case !known || was.UID != s.UID || s.Version <= was.Version:
		return ""
	case quiet && s.App != "":
		return fmt.Sprintf("%s was written while everything was only delivered again: %d became %d", s.Key, was.Version, s.Version)
	case was.Content == s.Content && was.Others == s.Others && was.Ours == s.Ours:
		return fmt.Sprintf("%s was written and nothing of it changed: %d became %d", s.Key, was.Version, s.Version)
	}
	return ""
}
