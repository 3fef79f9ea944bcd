// SPDX-License-Identifier: Apache-2.0

package gitserver

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// SSH is how to reach the server over SSH.
type SSH struct {
	URL        string // root of the repositories: ssh://git@127.0.0.1:port
	KnownHosts []byte // a known_hosts file
	Identity   []byte // PEM of the one private key that is let in
}

type sshServer struct {
	SSH
	root     string
	listener net.Listener
	config   *ssh.ServerConfig
	work     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// ServeSSH starts to serve the same repositories over SSH, until Close.
func (s *Server) ServeSSH() (SSH, error) {
	hostKey, _, err := newKey()
	if err != nil {
		return SSH{}, err
	}
	clientKey, identity, err := newKey()
	if err != nil {
		return SSH{}, err
	}
	allowed := clientKey.PublicKey().Marshal()
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if !bytes.Equal(key.Marshal(), allowed) {
			return nil, errors.New("unknown key")
		}
		return &ssh.Permissions{}, nil
	}}
	config.AddHostKey(hostKey)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return SSH{}, fmt.Errorf("git server: ssh: %w", err)
	}
	address := listener.Addr().String()
	s.ssh = &sshServer{
		SSH: SSH{
			URL:        "ssh://git@" + address,
			KnownHosts: []byte(knownhosts.Line([]string{address}, hostKey.PublicKey()) + "\n"),
			Identity:   identity,
		},
		root: filepath.Join(s.Dir, "bare"), listener: listener, config: config, conns: map[net.Conn]bool{},
	}
	s.ssh.work.Go(s.ssh.accept)
	return s.ssh.SSH, nil
}

func newKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("git server: ssh key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, nil, fmt.Errorf("git server: ssh key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, fmt.Errorf("git server: ssh key: %w", err)
	}
	return signer, pem.EncodeToMemory(block), nil
}

func (s *sshServer) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		s.work.Go(func() {
			s.handle(conn)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

func (s *sshServer) handle(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_, channels, requests, err := ssh.NewServerConn(conn, s.config)
	if err != nil {
		return // the client saw why
	}
	go ssh.DiscardRequests(requests)
	for open := range channels {
		if open.ChannelType() != "session" {
			_ = open.Reject(ssh.UnknownChannelType, "session only")
			continue
		}
		channel, requests, err := open.Accept()
		if err != nil {
			return
		}
		s.work.Go(func() { s.session(channel, requests) })
	}
}

func (s *sshServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for request := range requests {
		var payload struct{ Command string }
		if request.Type != "exec" || ssh.Unmarshal(request.Payload, &payload) != nil {
			_ = request.Reply(false, nil)
			continue
		}
		_ = request.Reply(true, nil)
		var status struct{ Code uint32 }
		if err := s.run(payload.Command, channel); err != nil {
			status.Code = 1
			_, _ = fmt.Fprintln(channel.Stderr(), err)
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		return
	}
}

// run runs git-upload-pack '/name.git' or git-receive-pack '/name.git'.
func (s *sshServer) run(command string, channel ssh.Channel) error {
	name, quoted, _ := strings.Cut(command, " ")
	path := strings.Trim(quoted, "'")
	if name != "git-upload-pack" && name != "git-receive-pack" || strings.Contains(path, "..") {
		return fmt.Errorf("%q is not served", command)
	}
	dir := filepath.Join(s.root, path)
	cmd := exec.Command("git", strings.TrimPrefix(name, "git-"), dir)
	cmd.Env, cmd.Stdout, cmd.Stderr = environment(), channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(stdin, channel) // ends with the channel
		_ = stdin.Close()
	}()
	return cmd.Wait()
}

// Close stops serving SSH and cuts every connection.
func (s *sshServer) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	for conn := range s.conns {
		_ = conn.Close()
	}
	s.mu.Unlock()
	s.work.Wait()
	return err
}
