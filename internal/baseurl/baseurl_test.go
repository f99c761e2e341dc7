package baseurl

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	tests := map[string]struct {
		url     string
		problem string
	}{
		"a host":                {"https://trk.example", ""},
		"a slash at the end":    {"https://trk.example/", ""},
		"a prefix":              {"http://proxy.example:8080/kissmetrics/", ""},
		"an IPv6 address":       {"http://[::1]:80", ""},
		"a name beyond ASCII":   {"https://bücher.example", ""},
		"nothing":               {"", "the scheme must be http or https"},
		"another scheme":        {"ftp://trk.example", "the scheme must be http or https"},
		"no scheme":             {"trk.example", "the scheme must be http or https"},
		"no host":               {"https:///e", "there is no host"},
		"an opaque part":        {"https:trk.example", "there is no host"},
		"a password":            {"https://u:p@trk.example", "a user or password is not allowed"},
		"a query":               {"https://trk.example?x=1", "a query or fragment is not allowed"},
		"an empty fragment":     {"https://trk.example#", "a query or fragment is not allowed"},
		"an empty port":         {"https://trk.example:", "the port is empty"},
		"port zero":             {"https://trk.example:0", "the port is not one from 1 to 65535"},
		"a port beyond 65535":   {"https://trk.example:65536", "the port is not one from 1 to 65535"},
		"a port that is a name": {"https://trk.example:http", "not a URL"},
		"a comma in the host":   {"https://a,b", "the host is neither a name nor an address"},
		"an empty part":         {"https://trk.example/a//b", "the path holds an empty or a relative part"},
		"a relative part":       {"https://trk.example/a/../b", "the path holds an empty or a relative part"},
		"a control character":   {"https://trk.example/\x7f", "not a URL"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			base, problem := Parse(test.url)
			assert.Equal(t, test.problem, problem)
			assert.Equal(t, test.problem == "", base != nil)
		})
	}
}
