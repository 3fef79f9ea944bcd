// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ensureTemplate returns the folder of what etcd held after a first start of
// binary. It is kept beside the binary, and made where it is missing: by one
// process, as a whole or not at all.
func ensureTemplate(ctx context.Context, binary string) (string, error) {
	template := filepath.Join(filepath.Dir(binary), "template")
	if isFolder(template) {
		return template, nil
	}
	unlock, err := lockFile(ctx, filepath.Join(filepath.Dir(binary), "lock"), func() {})
	if err != nil {
		return "", err
	}
	defer unlock()
	if isFolder(template) { // made while this process waited
		return template, nil
	}
	if err := makeTemplate(ctx, binary, template); err != nil {
		return "", fmt.Errorf("make the template of clusters: %w", err)
	}
	return template, nil
}

func makeTemplate(ctx context.Context, binary, template string) error {
	dir := template + ".making"
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	first := &Cluster{opts: Options{Dir: dir, Nodes: 1}, binary: binary}
	err := first.start(ctx)
	if err == nil {
		err = first.Stop()
	}
	if err == nil {
		err = os.Rename(first.data(), template)
	}
	return errors.Join(err, os.RemoveAll(dir))
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
