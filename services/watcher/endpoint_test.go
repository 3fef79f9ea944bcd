// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"errors"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/plumbline-dev/plumbline/test/seed"
)

func TestAdvisoryC3Endpoints(t *testing.T) {
	for text, want := range map[string]string{
		"https://git.example.com/shop.git":        "https://git.example.com/shop.git",
		"http://127.0.0.1:8080/a/b.git":           "http://127.0.0.1:8080/a/b.git",
		"ssh://git@git.example.com:2222/shop.git": "ssh://git@git.example.com:2222/shop.git",
		"git@git.example.com:org/shop.git":        "git@git.example.com:org/shop.git",
		"git.example.com:org/shop.git":            "git@git.example.com:org/shop.git",
		"file:///srv/git/shop.git":                "file:///srv/git/shop.git",
	} {
		e, err := parseEndpoint(text)
		if err != nil || e.String() != want {
			t.Errorf("%s: %v, %v", text, e, err)
		}
	}
	for _, text := range []string{
		"", "-oProxyCommand=x", "--upload-pack=touch /tmp/x", "ext::sh -c touch", "git://example.com/x", "ftp://example.com/x",
		"https://user:secret@example.com/x", "https://user@example.com/x", "ssh://git:secret@example.com/x", "https:///x",
		"https://example.com", "https://example.com/x?y=1", "https://example.com/x#y", "https://exa mple.com/x",
		"https://example.com/x\nHost: y", "ssh://-oProxyCommand=x/y", "ssh://-l@host/y", "ssh://git@host/-x", "file://relative/x",
		"file:///", "relative/path", "host:-x", "host:/", "host:/-x", "C::x",
		"git:secret@example.com/x.git", "git@git:secret@example.com:x.git", "git@-l:x.git", "@example.com:x.git", "git@:x.git",
	} {
		if e, err := parseEndpoint(text); err == nil {
			t.Errorf("%q was taken as %v", text, e)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the credentials: %v", text, err)
		}
	}
}

// FuzzEndpoint: a URL that is taken is one of four transports, can't be read as
// an option, carries no credentials and is read the same once written; one
// that is refused is not quoted.
func FuzzEndpoint(f *testing.F) {
	for _, text := range []string{"https://h/x", "git@h:x", "file:///x", "ssh://-x/y", "ext::x", "0:/", "https://a:" + canary + "@h/x", "git:" + canary + "@h/x", "https://h/x?t=" + canary} {
		f.Add(text)
	}
	written := regexp.MustCompile(`url: *"?([^"}\n]+)`)
	seed.Each(f, func(file seed.File) {
		for _, m := range written.FindAllSubmatch(file.Data, -1) {
			f.Add(string(m[1]))
		}
	}, "fleet")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseEndpoint(text)
		if err != nil {
			decent(t, err)
			if strings.Contains(err.Error(), canary) {
				t.Fatalf("the error shows the credentials: %v", err)
			}
			return
		}
		if u, err := url.Parse(e.String()); err == nil && strings.Contains(text, "://") {
			if _, has := u.User.Password(); has || u.RawQuery != "" {
				t.Fatalf("%q is taken with credentials: %s", text, e)
			}
		}
		if strings.HasPrefix(e.host, "-") || strings.HasPrefix(e.user, "-") || strings.HasPrefix(strings.TrimLeft(e.path, "/"), "-") {
			t.Fatalf("%q could be an option: %+v", text, e)
		}
		if again, err := parseEndpoint(e.String()); err != nil || again != e {
			t.Fatalf("%q: %+v is written as %s and read as %+v, %v", text, e, e, again, err)
		}
	})
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"https://user:secret@example.com/x": "https://example.com/x", "git:secret@example.com/x": "example.com/x",
		"https://example.com/x": "https://example.com/x", "x/y": "x/y",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestFleetDirectoryMustBeARepository(t *testing.T) {
	dir := t.TempDir()
	_, err := fleetEndpoint(dir)
	if err == nil || !strings.Contains(err.Error(), "git -C") {
		t.Errorf("a plain directory: %v", err)
	}
	if out, err := exec.Command("git", "init", "--quiet", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if e, err := fleetEndpoint(dir); err != nil || e.scheme != "file" {
		t.Errorf("a work tree: %v, %v", e, err)
	}
	if _, err := fleetEndpoint("https://user:secret@example.com/x"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("credentials in --fleet: %v", err)
	}
}

func TestFleetThatIsNowhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("fleet.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for fleet, want := range map[string]string{
		"./absent":                      "--fleet ./absent: there is no such directory, seen from " + dir + "; give a directory that is a Git repository, or a URL: https://",
		"fleet.yaml":                    "--fleet fleet.yaml is a file; give a directory that is a Git repository, or a URL: https://",
		"":                              "--fleet is missing: give the URL",
		"git:secret@example.com/absent": "--fleet example.com/absent: the URL can't be used: want https://",
		"ext::sh":                       "--fleet ext::sh: there is no such directory",
	} {
		_, err := fleetEndpoint(fleet)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s…", fleet, err, want)
		}
	}
}

func TestLinkLocalAndMetadataAddressesAreNotDialled(t *testing.T) {
	for _, address := range []string{
		"169.254.169.254:80", "[fe80::1]:80", "[::ffff:169.254.169.254]:80", "0.0.0.0:80", "224.0.0.1:80",
		"[64:ff9b::a9fe:a9fe]:80", "[fd00:ec2::254]:80", "[fd20:ce::254]:80", "168.63.129.16:80", "100.100.100.200:80", "[::ffff:100.100.100.200]:80", "192.0.0.192:80",
	} {
		err := dialer().Control("tcp", address, nil)
		var known *sourceError
		if !errors.As(err, &known) {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, address := range []string{"10.1.2.3:443", "[fd00:ec2::253]:443", "[64:ff9b::a01:203]:443", "[::1]:443"} {
		if err := dialer().Control("tcp", address, nil); err != nil {
			t.Errorf("%s, which is private: %v", address, err)
		}
	}
}
