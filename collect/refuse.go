package collect

import (
	"net/http"
	"net/url"
	"path"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/tally"
)

// Lately knows what was logged in the last minute.
type lately struct {
	mu sync.Mutex
	of map[string]*tally.Tally // by the code of an answer, of which there are few
}

// isNew reports whether nothing was logged of a code for a minute, and notes that it is
// now.
func (l *lately) isNew(code string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.of == nil {
		l.of = map[string]*tally.Tally{}
	}
	if l.of[code] == nil {
		l.of[code] = &tally.Tally{}
	}
	_, _, due := l.of[code].Add(time.Now(), 1, "")
	return due
}

// refuse logs an answer to a request of which nothing was accepted, once a minute for
// each code, and returns it. Who comes with a wrong key or from an unknown page comes
// often.
func (h *Handler) refuse(r *http.Request, a answer) answer {
	if !h.logged.isNew(a.body.Code) {
		return a
	}
	text, args := "collect: a request was refused", []any{"status", a.status, "code", a.body.Code, "reason", a.body.Message}
	switch a.status {
	case http.StatusNotFound:
		text = "collect: nothing is at the path of a POST: is there a prefix that should be stripped?"
		args = []any{"path", "…/" + knownName(r.URL.Path)}
	case http.StatusForbidden:
		args = append(args, "origin", knownOrigin(r.Header.Get("Origin")))
	}
	h.config.logger.WarnContext(r.Context(), text, args...)
	return a
}

// knownName returns the last part of a path if that is known to be no secret.
func knownName(of string) string {
	name := path.Base(of)
	if endpointNamed(name).route == nowhere {
		return "…"
	}
	return name
}

// knownOrigin returns the scheme and the host of a page, or null, which browsers say of
// a file or a frame that is shut off.
func knownOrigin(origin string) string {
	const longest = 255 // bytes of a host
	if origin == "null" {
		return origin
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || len(u.Host) > longest || u.Scheme != "http" && u.Scheme != "https" {
		return "…"
	}
	return u.Scheme + "://" + u.Host
}
