// SPDX-License-Identifier: Apache-2.0

package kubelab

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// sourceDir is the folder tools/kubelab of the checkout: the one that this
// file was compiled from, else the one that the working directory is in.
func sourceDir() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		dir := filepath.Join(filepath.Dir(file), "..", "..", "tools", "kubelab")
		if isSource(dir) {
			return dir, nil
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find tools/kubelab: %w", err)
	}
	for {
		if source := filepath.Join(dir, "tools", "kubelab"); isSource(source) {
			return source, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find tools/kubelab: run this inside a checkout of Plumbline")
		}
		dir = parent
	}
}

func isSource(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// sourceKey names the binary that the files in dir give when they are built by
// recipe, which tells the toolchain and the arguments: 16 hexadecimal digits.
// Documents and tests don't count.
func sourceKey(dir, recipe string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", dir, err)
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%q\n", recipe)
	for _, entry := range entries { // in the order of their names
		name := entry.Name()
		if !isBuilt(name) || !entry.Type().IsRegular() {
			continue
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", fmt.Errorf("read %s: %w", name, err)
		}
		fmt.Fprintf(digest, "%q %d\n", name, len(content))
		digest.Write(content)
	}
	return hex.EncodeToString(digest.Sum(nil))[:16], nil
}

func isBuilt(name string) bool {
	return slices.Contains([]string{".go", ".mod", ".sum", ".yaml"}, filepath.Ext(name)) && !strings.HasSuffix(name, "_test.go")
}
