package collect

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A route is what a request is for.
type route int

const (
	nowhere    route = iota
	message1         // one message
	batchOf          // a batch of messages
	metrics          // what SDKs say of themselves, which nobody wants
	sourceInfo       // the configuration of RudderStack's SDKs
	settings         // the configuration of Segment's SDKs
)

// An endpoint is what a path stands for.
type endpoint struct {
	route
	kind string // of the one message
	key  string // the write key, where the path holds it
}

// isBatch reports whether the endpoint takes a list of messages.
func (e endpoint) isBatch() bool { return e.route == batchOf }

// kinds are the names of the paths for one message, and the short ones of
// Segment's SDKs for browsers and phones.
var kinds = map[string]string{
	"identify": "identify", "page": "page", "screen": "screen", "track": "track", "group": "group", "alias": "alias",
	"i": "identify", "p": "page", "s": "screen", "t": "track", "g": "group", "a": "alias",
}

// endpoint returns what a path stands for. A slash too many, between its parts or at
// its end, is as good as none: SDKs join a host and a path in every way.
func (h *Handler) endpoint(path string) endpoint {
	parts := strings.FieldsFunc(path, func(c rune) bool { return c == '/' })
	short := len(parts) == 1 && h.config.shortPaths
	switch path = strings.Join(parts, "/"); {
	case path == "beacon/v1/batch":
		return endpoint{route: batchOf}
	case path == "v1/m", path == "rsaMetrics", path == "m" && short:
		return endpoint{route: metrics}
	case path == "sourceConfig" && h.config.publicURL != nil:
		return endpoint{route: sourceInfo}
	case len(parts) == 2 && parts[0] == "v1", short:
		return endpointNamed(parts[len(parts)-1])
	}
	if key, ok := projectKey(parts); ok && h.config.publicURL != nil {
		return endpoint{route: settings, key: key}
	}
	return endpoint{}
}

// projectKey returns the write key in the path of a project's settings. It may have
// slashes, which SDKs do not escape.
func projectKey(parts []string) (key string, ok bool) {
	if len(parts) > 0 && parts[0] == "v1" {
		parts = parts[1:]
	}
	last := len(parts) - 1
	if last < 2 || parts[0] != "projects" || parts[last] != "settings" {
		return "", false
	}
	return strings.Join(parts[1:last], "/"), true
}

// endpointNamed returns the endpoint of the last part of a path.
func endpointNamed(name string) endpoint {
	switch kind := kinds[name]; {
	case kind != "":
		return endpoint{route: message1, kind: kind}
	case name == "batch", name == "b", name == "import":
		return endpoint{route: batchOf}
	}
	return endpoint{}
}

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := h.endpoint(r.URL.Path)
	origin := h.allowOrigin(w, r)
	method := http.MethodPost
	if e.route == sourceInfo || e.route == settings {
		method = http.MethodGet
	}
	switch {
	case r.Method == http.MethodOptions && origin == originAllowed:
		allowRequest(w, r)
	case e.route == nowhere:
		a := failure(http.StatusNotFound, "not_found", "there is nothing at this path")
		if r.Method == http.MethodPost {
			a = h.refuse(r, a)
		}
		write(w, a)
	case origin == originForbidden:
		write(w, h.refuse(r, failure(http.StatusForbidden, "origin_not_allowed", "pages of this origin are not allowed to send")))
	case r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead):
		w.Header().Set("Allow", method)
		write(w, failure(http.StatusMethodNotAllowed, "method_not_allowed", "only "+method+" is allowed"))
	case e.route == metrics:
		w.WriteHeader(http.StatusNoContent)
	case method == http.MethodGet:
		write(w, h.configuration(r, e))
	default:
		a := h.post(w, r, e)
		if _, known := givenKey(r); a.retryAfter > 0 && !known {
			hide(w.Header())
		}
		write(w, a)
	}
}

// hide keeps an answer from the page that made the request. The SDKs for pages that give
// their key in the body alone do not look at the status, and drop what they were asked
// to repeat. Where a browser tells them that the request failed, they repeat it.
func hide(header http.Header) {
	header.Del("Access-Control-Allow-Origin")
	header.Del("Access-Control-Allow-Credentials")
	header.Del("Access-Control-Expose-Headers")
}

// An originState says what the page that makes a request may do.
type originState int

const (
	originNone    originState = iota // it is no page's, or one of our own
	originAllowed                    // it is one of those that were given
	originForbidden
)

// allowOrigin says to browsers which pages may read the answer, and reports which
// kind the request's is.
func (h *Handler) allowOrigin(w http.ResponseWriter, r *http.Request) originState {
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" {
		return originNone
	}
	listed := h.config.origins[origin]
	if !listed && !h.config.origins["*"] {
		if _, host, ok := strings.Cut(origin, "://"); ok && h.isOwn(host, r) {
			return originNone
		}
		return originForbidden
	}
	header.Set("Access-Control-Allow-Origin", origin)
	header.Set("Access-Control-Expose-Headers", "Retry-After")
	if listed { // cookies of every page's visitor are nothing to ask for
		header.Set("Access-Control-Allow-Credentials", "true")
	}
	return originAllowed
}

// isOwn reports whether a host is that of this handler, which a proxy may know by
// another name.
func (h *Handler) isOwn(host string, r *http.Request) bool {
	return strings.EqualFold(host, r.Host) || h.config.publicURL != nil && strings.EqualFold(host, h.config.publicURL.Host)
}

// allowRequest answers a preflight: a page may set the headers that it asks for. A
// list of our own would be out of date with the next version of an SDK.
func allowRequest(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	header.Set("Access-Control-Allow-Methods", "GET, POST")
	header.Set("Access-Control-Max-Age", "7200") // what Chromium believes at most
	if names := headerNames(r.Header.Get("Access-Control-Request-Headers")); names != "" {
		header.Set("Access-Control-Allow-Headers", names)
	}
	w.WriteHeader(http.StatusNoContent)
}

// headerNames returns those of a list of names of headers that are well-formed, up
// to a bound.
func headerNames(list string) string {
	const most, longest = 32, 64
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if name != "" && len(name) <= longest && strings.IndexFunc(name, isNoToken) < 0 && len(names) < most {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// isNoToken reports whether no name of a header holds c; see RFC 9110, section 5.6.2.
func isNoToken(c rune) bool {
	return c >= utf8.RuneSelf || !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
