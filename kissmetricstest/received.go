package kissmetricstest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"unique"
)

// received is a request as it is kept, which may have to be for millions of them.
type received struct {
	method, path string
	params       string      // as they came, or encoded
	header       http.Header // shared with others that have the same, and never changed
}

// keep keeps a request, and returns its place. The caller holds mu.
func (s *Server) keep(r *http.Request) (place int) {
	if !maps.EqualFunc(s.header, r.Header, slices.Equal) {
		s.header = r.Header.Clone()
	}
	params := r.URL.RawQuery // which the values of its parameters share
	if len(r.PostForm) > 0 {
		params = r.Form.Encode()
	}
	s.requests = append(s.requests, received{r.Method, r.URL.Path, params, s.header})
	return len(s.requests) - 1
}

// request returns a request that shares nothing with others.
func (r *received) request() Request {
	return Request{r.method, r.path, r.values(), r.header.Clone()}
}

func (r *received) values() url.Values {
	values, _ := url.ParseQuery(r.params) // what could be read of it
	return values
}

// told is something to tell of a request, and of one parameter if there is a name.
type told struct {
	reason Reason
	place  int // of the request
	name   string
}

// shared returns a text that is equal, and the same for all that ask for it.
func shared(s string) string { return unique.Make(s).Value() }
