// SPDX-License-Identifier: Apache-2.0

package watcher

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/plumbline-dev/plumbline/events"
)

// endpoint is where a repository is.
type endpoint struct {
	scheme string // http | https | ssh | file
	user   string // ssh only
	host   string // with its port; empty for file
	path   string
}

// parseEndpoint reads a repository's URL: http, https, ssh, file, or the
// scp-like user@host:path. Every other transport of Git (ext::, git://, a
// helper's) is refused, and so is a URL that carries credentials: they belong
// in the credentials folder.
func parseEndpoint(text string) (endpoint, error) {
	bad := func(why string) (endpoint, error) {
		return endpoint{}, refuse(events.ReasonUnreachable, nil, "the URL can't be used: %s", why)
	}
	if strings.HasPrefix(text, "-") || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return bad("it starts with - or holds blanks or control characters")
	}
	if !strings.Contains(text, "://") {
		if e, ok := parseSCP(text); ok {
			return e, nil
		}
		return bad("want https://…, http://…, ssh://…, user@host:path or file:///…")
	}
	u, err := url.Parse(text)
	if err != nil {
		return bad("it is no URL")
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return bad("it has a query or a fragment")
	}
	e := endpoint{scheme: strings.ToLower(u.Scheme), host: u.Host, path: u.Path}
	if _, has := u.User.Password(); has || u.User != nil && e.scheme != "ssh" {
		return bad("it carries credentials; put them into the credentials folder")
	}
	e.user = u.User.Username()
	switch e.scheme {
	case "http", "https", "ssh":
		if u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-") || strings.HasPrefix(e.user, "-") {
			return bad("it names no host")
		}
	case "file":
		if e.host != "" && e.host != "localhost" || !filepath.IsAbs(e.path) {
			return bad("want file:///absolute/path")
		}
		e.host = ""
	default:
		return bad("its transport is not http, https, ssh or file")
	}
	if strings.HasPrefix(strings.TrimLeft(e.path, "/"), "-") || strings.Trim(e.path, "/") == "" {
		return bad("it names no repository")
	}
	return e, nil
}

// scpName is what a user or a host may be in user@host:path.
var scpName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

func parseSCP(text string) (endpoint, bool) {
	address, path, ok := strings.Cut(text, ":")
	user, host, hasUser := strings.Cut(address, "@")
	if !hasUser {
		user, host = "git", address
	}
	// user:token@host/path is a URL that lost its scheme.
	if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, "@") {
		return endpoint{}, false
	}
	if !ok || !scpName.MatchString(user) || !scpName.MatchString(host) ||
		strings.HasPrefix(path, ":") || strings.HasPrefix(strings.TrimLeft(path, "/"), "-") || strings.Trim(path, "/") == "" {
		return endpoint{}, false
	}
	return endpoint{scheme: "ssh", user: user, host: host, path: path}, true
}

// String is the endpoint as a URL. It holds no credentials.
func (e endpoint) String() string {
	u := url.URL{Scheme: e.scheme, Host: e.host, Path: e.path}
	if e.user != "" {
		u.User = url.User(e.user)
	}
	if e.scheme == "ssh" && !strings.HasPrefix(e.path, "/") {
		return e.user + "@" + e.host + ":" + e.path
	}
	return u.String()
}

// address is host:port for a dial.
func (e endpoint) address(port string) string {
	if _, _, err := net.SplitHostPort(e.host); err == nil {
		return e.host
	}
	return net.JoinHostPort(strings.Trim(e.host, "[]"), port)
}

// metadata are the addresses that are not link-local where clouds serve the
// credentials of the machine that asks, as each documents.
var metadata = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud
}

// nat64 is the prefix behind which a gateway reaches all of IPv4 (RFC 6052).
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// plain is the IPv4 address that an IPv6 address stands for, where it does.
func plain(ip netip.Addr) netip.Addr {
	if nat64.Contains(ip) {
		last := ip.As16()
		return netip.AddrFrom4([4]byte(last[12:]))
	}
	return ip.Unmap()
}

// dialer connects to Git hosts, and to no link-local address and none of
// [metadata]: there clouds serve their instance credentials, and no Git. It
// looks at the address that is dialled, whatever a name resolved to before.
func dialer() *net.Dialer {
	return &net.Dialer{Timeout: dialTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("dial %s: %w", address, err)
		}
		ip := plain(to.Addr())
		if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || slices.Contains(metadata, ip.WithZone("")) {
			return refuse(events.ReasonUnreachable, nil, "the host resolves to %s, where no Git server is looked for", ip)
		}
		return nil
	}}
}
