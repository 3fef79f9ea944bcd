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

	natsconfig "github.com/plumbline-dev/plumbline/deploy/nats"
)

// PublicSuffix ends the name of a file with a public key alone.
const PublicSuffix = ".pub"

// PublicKeys returns the public key of every user, by name, and makes the keys
// that are missing.
func PublicKeys(o Options) (map[string]string, error) {
	o = o.withDefaults()
	users, err := natsconfig.Users(o.Clusters)
	if err != nil {
		return nil, err
	}
	public := make(map[string]string, len(users))
	for _, u := range users {
		if public[u.Name], err = keys(o.Keys).public(u.Name); err != nil {
			return nil, fmt.Errorf("key of %s: %w", u.Name, err)
		}
	}
	return public, nil
}

// keys is a folder of nkeys, one file per user: <user>.nk with the seed, or,
// where the server need not hold that, <user>.pub with the public key alone.
type keys string

// path is the file of a user's seed.
func (k keys) path(user string) string { return filepath.Join(string(k), user+".nk") }

// public returns a user's public key, and makes the key if there is none.
func (k keys) public(user string) (string, error) {
	seed, err := os.ReadFile(k.path(user))
	if errors.Is(err, fs.ErrNotExist) {
		return k.given(user)
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

// given returns a public key that was put there alone, and makes a key if
// there is none.
func (k keys) given(user string) (string, error) {
	path := filepath.Join(string(k), user+PublicSuffix)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k.create(user)
	}
	if err != nil {
		return "", err
	}
	public := string(bytes.TrimSpace(text))
	if !nkeys.IsValidPublicUserKey(public) {
		return "", fmt.Errorf("%s holds no public nkey of a user", path)
	}
	return public, nil
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
		return "", fmt.Errorf("there is no key of %s and none can be made: %w", user, err)
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
