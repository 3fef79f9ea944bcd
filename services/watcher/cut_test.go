// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/plumbline-dev/plumbline/test/gitserver"
)

// A watcher that is killed while it writes down a tip leaves an empty file: the
// next one rebuilds the mirror, where it said for ever that it can't be read.
func TestARefThatWasCutIsMended(t *testing.T) {
	l := newLab(t, gitserver.Options{})
	l.declareShop("web")
	before := l.put("v: 1\n", "web")
	stop := l.watch()
	l.observed("web", before)
	stop()
	var tips []string
	l.must(filepath.WalkDir(l.config.Mirrors, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && filepath.Base(filepath.Dir(path)) == "tips" {
			tips = append(tips, path)
		}
		return err
	}))
	if len(tips) == 0 {
		t.Fatal("the mirrors have no tips")
	}
	for _, tip := range tips {
		l.must(os.Truncate(tip, 0))
	}
	after := l.put("v: 2\n", "web")
	l.watch()
	l.observed("web", after)
}
