// SPDX-License-Identifier: Apache-2.0

package natsconfig

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/plumbline-dev/plumbline/events"
)

//go:embed server.conf streams/*.json consumers/*.json users/*.json
var files embed.FS

// Names of the streams.
const (
	StreamEvents   = "EVENTS"   // the log
	StreamBlobs    = "BLOBS"    // bodies, written once
	StreamAttempts = "ATTEMPTS" // how often an input has failed a consumer
)

const placeholder = "{cluster}"

// Config is one configuration as JSON, its placeholders filled in.
type Config struct {
	Name string // of the stream, consumer or user
	JSON []byte
}

// Server is server.conf. It includes users.conf from the folder that it lies
// in.
func Server() []byte {
	text, err := files.ReadFile("server.conf")
	if err != nil {
		panic(err) // it is compiled in
	}
	return text
}

// Streams returns every stream's configuration, sorted by name.
func Streams() ([]Config, error) { return load("streams", nil) }

// Consumers returns the configuration of every consumer: one of each service,
// for the services of a cluster one per cluster.
func Consumers(clusters []string) ([]Config, error) { return load("consumers", clusters) }

// load reads the files of a folder; one that has the placeholder in its name
// field is there once per cluster.
func load(dir string, clusters []string) ([]Config, error) {
	for _, c := range clusters {
		if err := checkCluster(c); err != nil {
			return nil, err
		}
	}
	entries, err := fs.ReadDir(files, dir)
	if err != nil {
		return nil, err
	}
	var all []Config
	for _, entry := range entries {
		text, err := files.ReadFile(path.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(entry.Name(), ".json")
		if !strings.Contains(string(text), placeholder) {
			all = append(all, Config{name, text})
			continue
		}
		for _, c := range clusters {
			all = append(all, Config{name + "-" + c, []byte(strings.ReplaceAll(string(text), placeholder, c))})
		}
	}
	slices.SortFunc(all, func(a, b Config) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// checkCluster refuses a name that is not its own subject token: the name goes
// into users' and consumers' names as well.
func checkCluster(name string) error {
	if name == "" || len(name) > 63 || events.EncodeToken(name) != name {
		return fmt.Errorf("cluster %q: want a name of letters, digits and hyphens, at most 63 long", name)
	}
	return nil
}
