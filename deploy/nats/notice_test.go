// SPDX-License-Identifier: Apache-2.0

package natsconfig_test

import (
	"slices"
	"strings"
	"testing"

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// The matrix would notice each line of each file of users that goes, and each
// that is cut to its first words: "plumbline.v1.>".
func TestTheMatrixNoticesEveryLine(t *testing.T) {
	users, err := natsconfig.Users(clusters)
	if err != nil {
		t.Fatal(err)
	}
	published, listened := publishing(t), listening(t)
	lines := 0
	for _, u := range users {
		for _, side := range []struct {
			verb string
			rows []row
			have []string
		}{{"publish", published, u.Permissions.Publish.Allow}, {"subscribe", listened, u.Permissions.Subscribe.Allow}} {
			for i, line := range side.have {
				lines++
				others := slices.Delete(slices.Clone(side.have), i, i+1)
				tokens := strings.Split(line, ".")
				for _, change := range []string{"", strings.Join(append(tokens[:min(2, len(tokens)-1)], ">"), ".")} {
					if change != line && !notices(side.rows, u.Name, append(slices.Clone(others), change)) {
						t.Errorf("%s may %s %s: %q in its place is not noticed", u.Name, side.verb, line, change)
					}
				}
			}
		}
	}
	t.Logf("%d lines", lines)
}

// notices reports whether a list of rights is not what the table says.
func notices(rows []row, user string, have []string) bool {
	return slices.ContainsFunc(rows, func(r row) bool {
		may := slices.ContainsFunc(have, func(pattern string) bool { return pattern != "" && covers(pattern, r.subject) })
		return may != slices.Contains(r.may, user)
	})
}
