// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/internal/seal"
)

func sourceKey(t testing.TB, fill byte) *seal.SourceKey {
	t.Helper()
	k, err := seal.NewSourceKey(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSourceRoundTrip(t *testing.T) {
	k := sourceKey(t, 1)
	for _, size := range []int{0, 1, 15, 16, 17, 1 << 20} {
		plain := bytes.Repeat([]byte("canary!"), size)[:size]
		name, sealed := k.EncryptSource(plain)
		again, sealedAgain := k.EncryptSource(plain)
		if name != again || !bytes.Equal(sealed, sealedAgain) {
			t.Errorf("%d bytes: two encryptions differ", size)
		}
		if size > 7 && bytes.Contains(sealed, []byte("canary")) {
			t.Errorf("%d bytes: plaintext shows", size)
		}
		got, err := k.DecryptSource(sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: DecryptSource = %d bytes, %v", size, len(got), err)
		}
	}
}

func TestSourceRefusesEveryChange(t *testing.T) {
	k := sourceKey(t, 1)
	_, sealed := k.EncryptSource([]byte("apiVersion: v1"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x40
		if _, err := k.DecryptSource(bad); !errors.Is(err, seal.ErrSource) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := k.DecryptSource(sealed[:i]); !errors.Is(err, seal.ErrSource) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := sourceKey(t, 2).DecryptSource(sealed); !errors.Is(err, seal.ErrSource) {
		t.Errorf("another key: %v", err)
	}
}

func TestContentsShareNoKeyStream(t *testing.T) {
	k := sourceKey(t, 1)
	a, b := bytes.Repeat([]byte("a"), 64), bytes.Repeat([]byte("b"), 64)
	_, sa := k.EncryptSource(a)
	_, sb := k.EncryptSource(b)
	n := len(sa) - 64 - 16
	var same int
	for i := range 64 {
		if sa[n+i]^sb[n+i] == 'a'^'b' {
			same++
		}
	}
	if same > 16 {
		t.Errorf("%d of 64 bytes were encrypted with one key stream", same)
	}
}

func TestNames(t *testing.T) {
	k := sourceKey(t, 1)
	if again := sourceKey(t, 1); k.Name("tree") != again.Name("tree") || k.Name("tree") == k.Name("tree2") || k.Name("tree") == sourceKey(t, 2).Name("tree") {
		t.Error("a name is not a function of key and id alone")
	}
	if n := k.Name("tree"); len(n) != 64 || strings.Contains(n, "tree") {
		t.Errorf("Name = %q", n)
	}
}

func TestDigestKeysDifferByCluster(t *testing.T) {
	k := sourceKey(t, 1)
	a, b := k.DigestKey("a"), k.DigestKey("b")
	if a.Sum([]byte("x")) == b.Sum([]byte("x")) {
		t.Error("two clusters share a digest key")
	}
	if a.Sum([]byte("x")) != sourceKey(t, 1).DigestKey("a").Sum([]byte("x")) {
		t.Error("a digest key changes from run to run")
	}
}

func TestKeysDontPrint(t *testing.T) {
	k := sourceKey(t, 'K')
	d := k.DigestKey("local")
	dir := t.TempDir()
	id, _, err := seal.EnsureIdentity(filepath.Join(dir, "identity"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{k, d, id, &d, &id} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(verb, v); strings.ContainsAny(text, "0123456789[{") {
				t.Errorf("%s of %T prints %q", verb, v, text)
			}
		}
	}
}

func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "source.key")
	a, err := seal.EnsureSourceKey(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.EnsureSourceKey(path)
	if err != nil || a.Name("x") != b.Name("x") {
		t.Errorf("the key was made anew: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	digest := filepath.Join(dir, "digest.key")
	for range 2 {
		if err := seal.WriteDigestKey(digest, a.DigestKey("local")); err != nil {
			t.Fatal(err)
		}
	}
	d, err := seal.LoadDigestKey(digest)
	if err != nil || d.Sum([]byte("x")) != a.DigestKey("local").Sum([]byte("x")) {
		t.Errorf("LoadDigestKey: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestBrokenKeyFilesDontShowTheirContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte("AGE-SECRET-KEY-1CANARY\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, load := range map[string]func() error{
		"source":   func() error { _, err := seal.LoadSourceKey(path); return err },
		"digest":   func() error { _, err := seal.LoadDigestKey(path); return err },
		"identity": func() error { _, err := seal.LoadIdentity(path); return err },
	} {
		if err := load(); err == nil || strings.Contains(strings.ToUpper(err.Error()), "CANARY") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzDecryptSource: nothing but what was encrypted is decrypted, to what it
// was, under one name.
func FuzzDecryptSource(f *testing.F) {
	key := sourceKey(f, 1)
	f.Add([]byte("PACK"), uint16(0), byte(0))
	f.Add([]byte{}, uint16(40), byte(1))
	f.Add([]byte("kanarienvogel"), uint16(60), byte(0x80))
	f.Fuzz(func(t *testing.T, content []byte, at uint16, change byte) {
		name, sealed := key.EncryptSource(content)
		if again, twice := key.EncryptSource(content); again != name || !bytes.Equal(twice, sealed) {
			t.Fatal("one content has two forms")
		}
		plain, err := key.DecryptSource(sealed)
		if err != nil || !bytes.Equal(plain, content) {
			t.Fatalf("decrypted to %q, %v", plain, err)
		}
		if change != 0 {
			sealed[int(at)%len(sealed)] ^= change
			if plain, err := key.DecryptSource(sealed); !errors.Is(err, seal.ErrSource) || plain != nil {
				t.Fatalf("changed at %d, and decrypted to %q, %v", at, plain, err)
			}
		}
		if _, err := key.DecryptSource(content); !errors.Is(err, seal.ErrSource) {
			t.Fatalf("%q is taken for a source: %v", content, err)
		}
	})
}
