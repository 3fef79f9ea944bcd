// SPDX-License-Identifier: Apache-2.0

package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// Recipient is the public half of a cluster's key pair.
type Recipient struct {
	recipient age.Recipient
	text      string
}

// String is the recipient as age writes it.
func (r Recipient) String() string { return r.text }

// Identity is the secret half: it opens what was sealed to its recipient.
type Identity struct{ identities []age.Identity }

// String keeps the identity out of logs.
func (i Identity) String() string { return "age identity" }

// GoString keeps the identity out of %#v.
func (i Identity) GoString() string { return "age identity" }

// ParseRecipient reads one native age recipient, "age1…". Plugins are not
// run.
func ParseRecipient(text string) (Recipient, error) {
	text = strings.TrimSpace(text)
	parsed, err := age.ParseRecipients(strings.NewReader(text))
	if err != nil || len(parsed) != 1 {
		return Recipient{}, fmt.Errorf("%q is no age recipient; it starts with age1 and is printed by age-keygen", text)
	}
	return Recipient{parsed[0], text}, nil
}

// LoadIdentity reads an age identity file, as age-keygen writes it.
func LoadIdentity(path string) (Identity, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Identity{}, fmt.Errorf("read age identity: %w", err)
	}
	parsed, err := age.ParseIdentities(bytes.NewReader(data))
	if err != nil {
		// age quotes what it can't read; a secret key would be in it.
		return Identity{}, fmt.Errorf("read age identity: %s holds no age identity", path)
	}
	return Identity{parsed}, nil
}

// LoadSourceKey reads a source key file: 64 hex digits.
func LoadSourceKey(path string) (*SourceKey, error) {
	secret, err := loadKey(path)
	if err != nil {
		return nil, fmt.Errorf("read source key: %w", err)
	}
	return NewSourceKey(secret)
}

// LoadDigestKey reads a digest key file: 64 hex digits.
func LoadDigestKey(path string) (DigestKey, error) {
	secret, err := loadKey(path)
	if err != nil {
		return DigestKey{}, fmt.Errorf("read digest key: %w", err)
	}
	return NewDigestKey(secret)
}

// EnsureSourceKey reads the source key at path and makes one if there is
// none.
func EnsureSourceKey(path string) (*SourceKey, error) {
	secret := make([]byte, KeySize)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("make source key: %w", err)
	}
	if err := create(path, hex.EncodeToString(secret)+"\n"); err != nil {
		return nil, fmt.Errorf("make source key: %w", err)
	}
	return LoadSourceKey(path)
}

// EnsureIdentity reads the age identity at path, makes one if there is none,
// and returns it with its recipient.
func EnsureIdentity(path string) (Identity, Recipient, error) {
	made, err := age.GenerateX25519Identity()
	if err != nil {
		return Identity{}, Recipient{}, fmt.Errorf("make age identity: %w", err)
	}
	text := "# public key: " + made.Recipient().String() + "\n" + made.String() + "\n"
	if err := create(path, text); err != nil {
		return Identity{}, Recipient{}, fmt.Errorf("make age identity: %w", err)
	}
	identity, err := LoadIdentity(path)
	if err != nil {
		return Identity{}, Recipient{}, err
	}
	recipient, err := identity.Recipient()
	return identity, recipient, err
}

// Recipient is the public half of i's first key.
func (i Identity) Recipient() (Recipient, error) {
	if len(i.identities) > 0 {
		switch id := i.identities[0].(type) {
		case *age.X25519Identity:
			return ParseRecipient(id.Recipient().String())
		case *age.HybridIdentity:
			return ParseRecipient(id.Recipient().String())
		}
	}
	return Recipient{}, errors.New("the age identity names no recipient")
}

// WriteDigestKey writes k to a file that only its owner reads, replacing what
// is there.
func WriteDigestKey(path string, k DigestKey) error {
	if k.Zero() {
		return errors.New("write digest key: there is none")
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write digest key: %w", err)
	}
	_, err = tmp.WriteString(hex.EncodeToString(k.key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write digest key: %w", errors.Join(err, os.Remove(tmp.Name())))
	}
	return nil
}

func loadKey(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(secret) != KeySize {
		return nil, fmt.Errorf("%s holds no key of %d hex digits", path, 2*KeySize)
	}
	return secret, nil
}

// create writes a file that isn't there yet, readable by its owner alone. A
// file that is there stays as it is. The file appears whole or not at all, so
// that two processes that start at once use the same one.
func create(path, text string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".key-*")
	if err != nil {
		return err
	}
	_, err = tmp.WriteString(text)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Link(tmp.Name(), path)
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(tmp.Name()))
}
