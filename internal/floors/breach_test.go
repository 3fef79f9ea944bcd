// SPDX-License-Identifier: Apache-2.0

package floors

import (
	"strings"
	"testing"
)

// Each rule is seen to catch its breach, and to let through what it should.
func TestBreachesAreCaught(t *testing.T) {
	for name, c := range map[string]struct {
		p    pkg
		want string // "" for none
	}{
		"homeless":            {pkg{ImportPath: "internal/magic"}, "stands on no floor"},
		"upward":              {pkg{ImportPath: "internal/manifest", Imports: []string{module + "/internal/bus"}}, "imports go down only"},
		"to a command":        {pkg{ImportPath: "services/watcher", Imports: []string{module + "/cmd/plumbline"}}, "imports go down only"},
		"sideways":            {pkg{ImportPath: "services/watcher", Imports: []string{module + "/services/renderer"}}, "meet in events alone"},
		"sideways in a test":  {pkg{ImportPath: "services/auditor", XTestImports: []string{module + "/services/applier"}}, "meet in events alone"},
		"within a service":    {pkg{ImportPath: "services/renderer", Imports: []string{module + "/services/renderer/pack"}}, ""},
		"support in code":     {pkg{ImportPath: "services/watcher", Imports: []string{module + "/internal/bus/bustest"}}, "only tests may"},
		"support in a test":   {pkg{ImportPath: "services/watcher", TestImports: []string{module + "/internal/bus/bustest"}}, ""},
		"git in the applier":  {pkg{ImportPath: "services/applier", Imports: []string{"github.com/go-git/go-git/v5"}}, "only the watcher speaks to Git"},
		"git in the watcher":  {pkg{ImportPath: "services/watcher", Imports: []string{"github.com/go-git/go-git/v5/plumbing"}}, ""},
		"cluster in renderer": {pkg{ImportPath: "services/renderer", Deps: []string{"k8s.io/client-go/rest"}}, "no credential but the source key"},
		"raw nats in service": {pkg{ImportPath: "services/auditor", Imports: []string{"github.com/nats-io/nats.go/jetstream"}}, "publishing, acknowledging"},
		"package name":        {pkg{ImportPath: "internal/fault", Name: "util"}, "says nothing"},
		"file name":           {pkg{ImportPath: "internal/fault", GoFiles: []string{"helpers.go"}}, "fault/helpers.go"},
		"test file name":      {pkg{ImportPath: "internal/fault", TestGoFiles: []string{"common_test.go"}}, "fault/common_test.go"},
		"down":                {pkg{ImportPath: "cmd/plumbline", Imports: []string{module + "/services/watcher", module + "/events"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.p.ImportPath = module + "/" + c.p.ImportPath
			got := strings.Join(check([]pkg{c.p}), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("check = %q, want %q in it", got, c.want)
			}
		})
	}
}
