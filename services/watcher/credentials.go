// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
	"github.com/plumbline-dev/plumbline/internal/fleet"
)

// fleetName is the folder of the fleet repository's credentials and webhook
// secret, and its name in source events. No declared repository elsewhere may
// take it: it would be given the fleet's credentials.
const fleetName = fleet.FleetRepository

// credentials are the files of one repository's folder. Missing files are
// empty.
type credentials struct {
	username, password string // http and https
	identity           []byte // ssh: PEM of a private key
	knownHosts         string // ssh: path of the file, "" where it is missing
	ca                 []byte // https: PEM of further authorities
	folder             string // for messages
}

// String keeps credentials out of logs.
func (credentials) String() string { return "credentials" }

// GoString keeps credentials out of %#v.
func (credentials) GoString() string { return "credentials" }

// readCredentials reads DIR/<repository>/{username,password,identity,
// known_hosts,ca.crt}. It is called for every connection, so a changed file
// counts from the next one on. dir "" has no credentials at all.
func readCredentials(dir, repository string) (credentials, error) {
	if dir == "" {
		return credentials{folder: "the credentials folder (--git-credentials)"}, nil
	}
	if !singleName(repository) {
		return credentials{}, refuse(events.ReasonUnauthorized, nil, "%q names no folder of credentials", repository)
	}
	c := credentials{folder: filepath.Join(dir, repository)}
	files := map[string][]byte{}
	for _, name := range []string{"username", "password", "identity", "known_hosts", "ca.crt"} {
		data, err := os.ReadFile(filepath.Join(c.folder, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return credentials{}, refuse(events.ReasonUnauthorized, err, "the file %s of its credentials can't be read", name)
		}
		files[name] = data
		if name == "known_hosts" && err == nil {
			c.knownHosts = filepath.Join(c.folder, name)
		}
	}
	c.username = strings.TrimRight(string(files["username"]), "\r\n")
	c.password = strings.TrimRight(string(files["password"]), "\r\n")
	c.identity, c.ca = files["identity"], files["ca.crt"]
	return c, nil
}

// singleName says that name is one path element and no other.
func singleName(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, `/\`) && !strings.ContainsRune(name, 0)
}

// missing is the error for a file that has to be there.
func (c credentials) missing(file, what string) error {
	return refuse(events.ReasonUnauthorized, nil, "make the file %s: %s", fmt.Sprintf("%s/%s", c.folder, file), what)
}
