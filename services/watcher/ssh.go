// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	gitssh "github.com/go-git/go-git/v5/plumbing/transport/ssh"
	"golang.org/x/crypto/ssh"

	"github.com/plumbline-dev/plumbline/events"
)

// openSSH runs git-upload-pack on the endpoint's host. Neither the user's SSH
// configuration nor an agent is read: what counts is the credentials folder.
func openSSH(ctx context.Context, e endpoint, c credentials) (session, error) {
	config, err := sshConfig(e, c)
	if err != nil {
		return nil, err
	}
	conn, err := dialer().DialContext(ctx, "tcp", e.address("22"))
	if err != nil {
		return nil, err
	}
	cut := context.AfterFunc(ctx, func() { _ = conn.Close() })
	client, err := handshake(conn, e, config)
	if err != nil {
		cut()
		return nil, errors.Join(sshError(ctx, err), ignoreClosed(conn.Close()))
	}
	s, err := startUploadPack(client, e.path)
	if err != nil {
		cut()
		return nil, errors.Join(sshError(ctx, err), ignoreClosed(client.Close()))
	}
	s.finish = func() {
		cut()
		_ = client.Close() // ends the remote process too
	}
	return s.start(ctx), nil
}

func sshConfig(e endpoint, c credentials) (*ssh.ClientConfig, error) {
	if c.knownHosts == "" {
		return nil, c.missing("known_hosts", "ssh-keyscan the host, and compare what it prints with what the host's operator publishes")
	}
	if len(c.identity) == 0 {
		return nil, c.missing("identity", "a private key, without passphrase, that may read the repository")
	}
	hosts, err := gitssh.NewKnownHostsDb(c.knownHosts)
	if err != nil {
		return nil, refuse(events.ReasonUnauthorized, err, "known_hosts of its credentials can't be read")
	}
	signer, err := ssh.ParsePrivateKey(c.identity)
	if err != nil {
		// The parser's error may quote the key.
		return nil, refuse(events.ReasonUnauthorized, nil, "identity of its credentials is no private key without passphrase")
	}
	user := e.user
	if user == "" {
		user = "git"
	}
	return &ssh.ClientConfig{
		User: user, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: hosts.HostKeyCallback(), HostKeyAlgorithms: hosts.HostKeyAlgorithms(e.address("22")),
	}, nil
}

func handshake(conn net.Conn, e endpoint, config *ssh.ClientConfig) (*ssh.Client, error) {
	c, channels, requests, err := ssh.NewClientConn(conn, e.address("22"), config)
	if err != nil {
		return nil, err
	}
	return ssh.NewClient(c, channels, requests), nil
}

func startUploadPack(client *ssh.Client, path string) (*stream, error) {
	s, err := client.NewSession()
	if err != nil {
		return nil, err
	}
	in, err := s.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := s.StdoutPipe()
	if err != nil {
		return nil, err
	}
	stderr := &tail{}
	s.Stderr = stderr
	if err := s.Start("git-upload-pack " + shellQuoted(path)); err != nil {
		return nil, err
	}
	// The end of stdout and what stderr still holds come by two ways: only
	// Wait knows that both were read. Its error is the exit status, of which
	// stderr says more.
	exited := func() { _ = s.Wait() }
	return &stream{in: in, out: io.NopCloser(out), stderr: stderr, exited: exited}, nil
}

// shellQuoted is one word of a POSIX shell, as git's own sq_quote_buf writes
// it.
func shellQuoted(path string) string {
	return "'" + strings.NewReplacer("'", `'\''`, "!", `'\!'`).Replace(path) + "'"
}

func sshError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if strings.Contains(err.Error(), "unable to authenticate") {
		return refuse(events.ReasonUnauthorized, err, "the server refuses the identity")
	}
	return fmt.Errorf("ssh: %w", err)
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
