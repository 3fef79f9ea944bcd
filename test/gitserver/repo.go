// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Repo is one repository of the server and a work tree to write it from. It
// pushes by path, so that a fault before the server doesn't keep it out. One
// goroutine at a time may use it.
type Repo struct {
	Name string
	// URL is the repository over HTTP.
	URL  string
	Bare string // directory of the bare repository
	Work string // directory of the work tree
}

// Commit is what one commit changes.
type Commit struct {
	Files   map[string]string // path → content
	Links   map[string]string // path → target of a symbolic link
	Delete  []string
	Message string // empty: "Change"
	Author  string // "Name <email>"; empty: "Ada <ada@example.com>"
}

// Repo makes an empty repository whose default branch is main, or opens the
// one that is there.
func (s *Server) Repo(name string) (*Repo, error) {
	r := &Repo{
		Name: name, URL: s.URL + "/" + name + ".git",
		Bare: filepath.Join(s.Dir, "bare", name+".git"), Work: filepath.Join(s.Dir, "work", name),
	}
	if _, err := os.Stat(r.Bare); err == nil {
		return r, nil
	}
	if err := s.create(r.Bare, r.Bare, bareConfig, "--bare"); err != nil {
		return nil, err
	}
	if err := s.create(r.Work, filepath.Join(r.Work, ".git"), fmt.Sprintf(workConfig, strconv.Quote(r.Bare))); err != nil {
		return nil, err
	}
	return r, nil
}

const (
	bareConfig = `[http]
	receivepack = true
[uploadpack]
	allowAnySHA1InWant = true
[receive]
	autogc = false ; which the environment says to no other repository
`
	workConfig = `[remote "origin"]
	url = %s
	fetch = +refs/heads/*:refs/remotes/origin/*
`
)

// create makes a repository with more configuration than git gives it: written
// here, since git config is a process for each line; and without the template,
// whose hooks are samples.
func (s *Server) create(dir, gitDir, config string, args ...string) error {
	if _, err := run(s.Dir, append([]string{"init", "--quiet", "--template=", "--initial-branch=main", dir}, args...)...); err != nil {
		return err
	}
	file, err := os.OpenFile(filepath.Join(gitDir, "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	_, err = file.WriteString(config)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("configure: %w", err)
	}
	return nil
}

// Git runs git in the work tree and returns its output, trimmed.
func (r *Repo) Git(args ...string) (string, error) { return run(r.Work, args...) }

func run(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(environment(), "PATH="+os.Getenv("PATH"), "HOME="+dir,
		"GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}

// Commit makes a commit on the work tree's branch, not pushed yet, and
// returns its id.
func (r *Repo) Commit(c Commit) (string, error) {
	if err := r.write(c); err != nil {
		return "", err
	}
	if _, err := r.Git("add", "--all"); err != nil {
		return "", err
	}
	if c.Message == "" {
		c.Message = "Change"
	}
	if c.Author == "" {
		c.Author = "Ada <ada@example.com>"
	}
	if _, err := r.Git("commit", "--quiet", "--allow-empty", "--message", c.Message, "--author", c.Author); err != nil {
		return "", err
	}
	return r.Head()
}

func (r *Repo) write(c Commit) error {
	for _, path := range c.Delete {
		if err := os.RemoveAll(filepath.Join(r.Work, filepath.FromSlash(path))); err != nil {
			return fmt.Errorf("delete: %w", err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.Files)) {
		full := filepath.Join(r.Work, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			return fmt.Errorf("write: %w", err)
		}
		if err := os.WriteFile(full, []byte(c.Files[path]), 0o644); err != nil {
			return fmt.Errorf("write: %w", err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.Links)) {
		if err := os.Symlink(c.Links[path], filepath.Join(r.Work, filepath.FromSlash(path))); err != nil {
			return fmt.Errorf("link: %w", err)
		}
	}
	return nil
}

// Head is the id of the work tree's commit.
func (r *Repo) Head() (string, error) { return r.Git("rev-parse", "HEAD") }

// Push pushes the work tree's commit to the branch that it is on.
func (r *Repo) Push() error {
	_, err := r.Git("push", "--quiet", "origin", "HEAD")
	return err
}

// ForcePush is [Repo.Push] that rewrites history.
func (r *Repo) ForcePush() error {
	_, err := r.Git("push", "--quiet", "--force", "origin", "HEAD")
	return err
}

// Put commits files and pushes them; it returns the commit's id.
func (r *Repo) Put(files map[string]string) (string, error) {
	id, err := r.Commit(Commit{Files: files})
	if err != nil {
		return "", err
	}
	return id, r.Push()
}

// Revert pushes a commit that undoes another, and returns its id.
func (r *Repo) Revert(commit string) (string, error) {
	if _, err := r.Git("revert", "--no-edit", commit); err != nil {
		return "", err
	}
	if err := r.Push(); err != nil {
		return "", err
	}
	return r.Head()
}

// Reset sets a branch on the server to a commit, whatever it was before, and
// the work tree with it.
func (r *Repo) Reset(branch, commit string) error {
	if _, err := r.Git("checkout", "--quiet", "-B", branch, commit); err != nil {
		return err
	}
	return r.ForcePush()
}

// Tag sets a tag on the server, moving it where it exists.
func (r *Repo) Tag(name, commit string) error {
	if _, err := r.Git("tag", "--force", "--annotate", "--message", name, name, commit); err != nil {
		return err
	}
	_, err := r.Git("push", "--quiet", "--force", "origin", "refs/tags/"+name)
	return err
}

// DeleteBranch deletes a branch on the server.
func (r *Repo) DeleteBranch(name string) error {
	_, err := run(r.Bare, "update-ref", "-d", "refs/heads/"+name)
	return err
}
