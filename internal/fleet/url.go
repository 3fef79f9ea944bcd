// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

const (
	urlForms  = "must be an https, http, ssh or file URL, or user@host:path"
	urlNoUser = "must not hold credentials: they are files in the watcher's credentials folder"
	maxURL    = 2048 // bytes
)

// scp is Git's short form of an ssh URL: [user@]host:path.
var scp = regexp.MustCompile(`^([A-Za-z0-9_][A-Za-z0-9._-]*@)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[^:\\-][^\\]*$`)

// helper is the start of a transport helper's address (gitremote-helpers(7)):
// ext::, fd::, or any other program on the path.
var helper = regexp.MustCompile(`^[A-Za-z0-9+.-]*::`)

var host = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`)

// checkURL allows what go-git speaks itself, and nothing that could be taken
// for an option, a transport helper (ext::) or a credential. It never shows the
// text: it may hold one.
func checkURL(s string) string {
	switch {
	case len(s) > maxURL:
		return "is longer than 2048 bytes"
	case strings.HasPrefix(s, "-"):
		return urlForms + "; it starts with -"
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		return urlForms + ", without spaces and line breaks"
	case helper.MatchString(s):
		return urlForms + "; transport helpers (::) are not allowed"
	case !strings.Contains(s, "://"):
		_, path, _ := strings.Cut(s, ":")
		if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, "@") {
			return urlNoUser
		}
		if !scp.MatchString(s) {
			return urlForms + "; a folder of this machine is file:///path"
		}
		return ""
	}
	u, err := url.Parse(s)
	if err != nil {
		return urlForms + "; this one can't be parsed"
	}
	if wrong := checkUser(u); wrong != "" {
		return wrong
	}
	switch {
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return "must end after the path, without ? and #"
	case strings.ContainsFunc(u.Path, unicode.IsControl):
		return "must not hold control characters"
	case u.Scheme == "file":
		if u.Host != "" || len(strings.Trim(u.Path, "/")) == 0 {
			return "must be file:///path: three slashes and an absolute path"
		}
	case !host.MatchString(u.Hostname()) && !strings.HasPrefix(u.Host, "["):
		return urlForms + ", with a host"
	case strings.Trim(u.Path, "/") == "":
		return "must name a repository after the host"
	}
	return ""
}

func checkUser(u *url.URL) string {
	_, password := u.User.Password()
	switch u.Scheme {
	case "ssh":
		if password || strings.HasPrefix(u.User.Username(), "-") {
			return urlNoUser
		}
	case "https", "http", "file":
		if u.User != nil {
			return urlNoUser
		}
	default:
		return urlForms
	}
	return ""
}
