// SPDX-License-Identifier: Apache-2.0

package privileges

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/nats-io/nkeys"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/plumbline-dev/plumbline/test/canary"
	"github.com/plumbline-dev/plumbline/test/rig"
)

// keyFile is a file of keys: of those that open Plumbline itself and its cluster,
// or one of the same kind that opens nothing.
type keyFile struct {
	path string // where it lies, and nothing else may; empty: it opens nothing
	text []byte
	read func(text []byte) (values []string, err error) // what of it is to stay secret
}

// keys are what must not leave the files that they lie in.
type keys struct {
	set   *canary.Set // all that is searched for: the values of the keys last
	files []keyFile
	file  []int // of each value, counted from the first
}

// ring reads the keys of files.
func ring(t *testing.T, files []keyFile) *keys {
	t.Helper()
	k := &keys{files: files}
	var values []string
	for i, f := range files {
		some, err := f.read(f.text)
		if err != nil || len(some) == 0 {
			t.Fatalf("key file %d (%s) has %d keys: %v", i, f.path, len(some), err)
		}
		values = append(values, some...)
		k.file = append(k.file, slices.Repeat([]int{i}, len(some))...)
	}
	var err error
	if k.set, err = set.With(values...); err != nil {
		t.Fatal(err)
	}
	return k
}

// strays says of what a hit is a part that must not be there; empty: it may.
func (k *keys) strays(h canary.Hit) string {
	switch {
	case h.Secret < secrets:
		return "a secret that was planted"
	case h.Secret < set.Len():
		return ""
	}
	home := k.files[k.file[h.Secret-set.Len()]].path
	if home == "" || home == h.Where {
		return ""
	}
	return "a key of " + home
}

// notBlind checks that each key is found: in its own file, and, where it opens
// nothing, in the places where it was told.
func (k *keys) notBlind(t *testing.T, found map[string][]canary.Hit) {
	t.Helper()
	for i, file := range k.file {
		f, secret := k.files[file], set.Len()+i
		in := map[string][]canary.Hit{"its own file": k.set.Find(f.path, f.text)}
		if f.path == "" {
			for _, place := range []string{"stream ATTEMPTS", "store", "data"} {
				in[place] = found[place]
			}
		}
		for place, hits := range in {
			if !slices.ContainsFunc(hits, func(h canary.Hit) bool { return h.Secret == secret }) {
				t.Errorf("%s is searched, and value %d of the keys, of %q, not found in it", place, i, f.path)
			}
		}
	}
	t.Logf("%d values of keys in %d files", len(k.file), len(k.files))
}

// keyFiles are the files of this Plumbline: of the bus's users, of what is sealed
// and compared, and the kubeconfigs of services and people.
func (s *scene) keyFiles() []keyFile {
	s.t.Helper()
	data := filepath.Join(s.Dir, "data")
	var all []keyFile
	add := func(pattern string, least int, read func([]byte) ([]string, error)) {
		s.t.Helper()
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) < least {
			s.t.Fatalf("%s: %q, %v, want %d at least", pattern, paths, err, least)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				s.t.Fatal(err)
			}
			all = append(all, keyFile{path, text, read})
		}
	}
	add(filepath.Join(data, "nats", "keys", "*.nk"), 8, seedOf)
	add(filepath.Join(data, "keys", "*.age"), 1, identityOf)
	add(filepath.Join(data, "keys", "*.key"), 2, rawKeyOf)
	add(s.Cluster.Kubeconfig(), 1, kubeconfigOf)
	add(filepath.Join(s.Dir, "kubeconfigs", "*"), 2, kubeconfigOf)
	return all
}

// giveTokens gives the kubeconfigs of applier and auditor a token beside the client
// key: each of the two may be told.
func (s *scene) giveTokens() {
	s.t.Helper()
	for _, service := range []string{"applier", "auditor"} {
		p := s.Process(service)
		at := slices.Index(p.Args, "--kubeconfig") + 1
		config, err := clientcmd.LoadFromFile(p.Args[at])
		if err != nil {
			s.t.Fatal(err)
		}
		var token *authenticationv1.TokenRequest
		err = rig.Until(s.ctx(), func(ctx context.Context) (bool, error) { // a new cluster makes the account in time
			token, err = s.Kube.Typed.CoreV1().ServiceAccounts(metav1.NamespaceDefault).CreateToken(ctx, "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
			if apierrors.IsNotFound(err) {
				return false, nil
			}
			return err == nil, err
		})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, user := range config.AuthInfos {
			user.Token = token.Status.Token
		}
		text, err := clientcmd.Write(*config)
		if err != nil {
			s.t.Fatal(err)
		}
		p.Args[at] = filepath.Join(s.Dir, "kubeconfigs", service)
		s.write(p.Args[at], string(text))
	}
}

// decoys are a file of each kind that opens nothing, to be told where it is
// searched.
func decoys(t *testing.T) []keyFile {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := clientcmd.Write(clientcmdapi.Config{AuthInfos: map[string]*clientcmdapi.AuthInfo{"nobody": {
		Token: rand.Text() + "." + rand.Text() + "." + rand.Text(), ClientKeyData: pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return []keyFile{
		{"", seed, seedOf},
		{"", []byte(identity.String() + "\n"), identityOf},
		{"", []byte(hex.EncodeToString(raw) + "\n"), rawKeyOf},
		{"", kubeconfig, kubeconfigOf},
	}
}

// seedOf is the seed of a user of the bus.
func seedOf(text []byte) ([]string, error) {
	seed := bytes.TrimSpace(text)
	_, err := nkeys.FromSeed(seed)
	return []string{string(seed)}, err
}

// identityOf is the identity of age's without what each begins with.
func identityOf(text []byte) ([]string, error) {
	var all []string
	for line := range strings.Lines(string(text)) {
		if key, ok := strings.CutPrefix(strings.TrimSpace(line), "AGE-SECRET-KEY-1"); ok {
			all = append(all, key)
		}
	}
	return all, nil
}

// rawKeyOf is a key of hex digits, as it is written and as it is.
func rawKeyOf(text []byte) ([]string, error) {
	digits := string(bytes.TrimSpace(text))
	key, err := hex.DecodeString(digits)
	return []string{digits, string(key)}, err
}

// kubeconfigOf are the tokens of a kubeconfig, and the numbers that its client keys
// are: whichever way a key is written holds that.
func kubeconfigOf(text []byte) ([]string, error) {
	config, err := clientcmd.Load(text)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, user := range config.AuthInfos {
		if user.Token != "" {
			all = append(all, user.Token)
		}
		block, _ := pem.Decode(user.ClientKeyData)
		if block == nil {
			return nil, errors.New("it has no client key")
		}
		private, err := x509.ParseECPrivateKey(block.Bytes)
		if err != nil {
			return nil, err
		}
		number, err := private.Bytes()
		if err != nil {
			return nil, err
		}
		all = append(all, string(number))
	}
	return all, nil
}
