// Package baseurl checks the URL of a server to send to.
package baseurl

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
)

// Parse returns a base URL: a scheme (http or https), a host, optionally a port,
// and a path, which is at least "/". The problem, empty where there is none, says
// what is wrong without quoting the URL, which may hold a password.
func Parse(s string) (base *url.URL, problem string) {
	base, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, "not a URL"
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, "the scheme must be http or https"
	case base.Hostname() == "" || base.Opaque != "":
		return nil, "there is no host"
	case base.User != nil:
		return nil, "a user or password is not allowed"
	case strings.ContainsAny(s, "?#"):
		return nil, "a query or fragment is not allowed"
	case strings.HasSuffix(base.Host, ":"):
		return nil, "the port is empty"
	case strings.ContainsFunc(base.Hostname(), isNoHostRune):
		return nil, "the host is neither a name nor an address"
	case strings.Contains(base.Path, "//"),
		base.Path != "" && base.Path != "/" && path.Clean(base.Path) != strings.TrimSuffix(base.Path, "/"):
		return nil, "the path holds an empty or a relative part"
	}
	if port := base.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "the port is not one from 1 to 65535"
		}
	}
	if base.Path == "" {
		base.Path = "/"
	}
	return base, ""
}

// isNoHostRune reports whether no name of a host holds c, nor an address.
func isNoHostRune(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-._:%", c)
}
