// SPDX-License-Identifier: Apache-2.0

package natsserver

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/nats-io/nkeys"
)

// keys is a folder of nkey seeds, one file per user.
type keys string

// path is the file of a user's seed.
func (k keys) path(user string) string { return filepath.Join(string(k), user+".nk") }

// public returns a user's public key, and makes the key if there is none.
func (k keys) public(user string) (string, error) {
	seed, err := os.ReadFile(k.path(user))
	if errors.Is(err, fs.ErrNotExist) {
		return k.create(user)
	}
	if err != nil {
		return "", err
	}
	defer clear(seed)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return "", fmt.Errorf("%s holds no nkey seed: %w", k.path(user), err)
	}
	return pair.PublicKey()
}

func (k keys) create(user string) (string, error) {
	if err := os.MkdirAll(string(k), 0o700); err != nil {
		return "", err
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	if err := write(k.path(user), append(seed, '\n'), 0o600); err != nil {
		return "", err
	}
	return pair.PublicKey()
}

// write replaces a file whole: after a crash it is the old one or the new one.
func write(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone once renamed
	if err := errors.Join(f.Chmod(mode), writeSynced(f, data), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeSynced(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}
