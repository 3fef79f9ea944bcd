// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ErrKey says that the file with the user's key can't be used as it is.
var ErrKey = errors.New("no key for the bus")

// keyFile is a file with the seed of an nkey. The seed is read when it is
// needed and stays in memory no longer.
type keyFile struct {
	path string
	user string // whose it is
	conn atomic.Pointer[nats.Conn]
}

func (k *keyFile) pair() (nkeys.KeyPair, error) {
	seed, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file %s; 'plumbline nats serve' writes one for each user of the bus, this user's is called %s", ErrKey, k.path, k.user+".nk")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w; let this user read the file, and nobody else", ErrKey, err)
	}
	defer clear(seed)
	pair, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return nil, fmt.Errorf("%w: %s holds no nkey seed (one line, beginning with SU): %w", ErrKey, k.path, err)
	}
	return pair, nil
}

func (k *keyFile) public() (string, error) {
	pair, err := k.pair()
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	return pair.PublicKey()
}

func (k *keyFile) sign(nonce []byte) ([]byte, error) {
	pair, err := k.pair()
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// Dial is called by the client for each connection, with its lock held and
// before it introduces itself: the one moment at which a changed key can be
// put in place.
func (k *keyFile) Dial(network, address string) (net.Conn, error) {
	if nc := k.conn.Load(); nc != nil {
		public, err := k.public()
		if err != nil {
			return nil, err
		}
		nc.Opts.Nkey = public
	}
	return net.DialTimeout(network, address, dialTimeout)
}
