package kmq

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// The cookies in which Kissmetrics' script keeps who the visitor is.
const (
	anonymousCookie = "km_ai"
	namedCookie     = "km_ni"
)

// A Visitor is who Kissmetrics' script takes a visitor for. Its fields are those
// of a message:
//
//	visitor := kmq.FromContext(r.Context())
//	err := client.Track(r.Context(), kissmetrics.Track{
//		UserID: visitor.UserID, AnonymousID: visitor.AnonymousID, Event: "Searched",
//	})
type Visitor struct {
	// UserID is the identity that the visitor was identified by, or empty.
	UserID string
	// AnonymousID is the identity that the script made up for the visitor, or
	// empty, as it is at the first request.
	AnonymousID string
}

// Identity returns the visitor of a request, as the cookies km_ni (UserID) and
// km_ai (AnonymousID) say. What the program sends of the visitor must name the
// same identity as what the script sends, or Kissmetrics sees two people.
//
// The cookies are the script's: they are only read, never set. A value that is
// no identity is as good as absent: one that is not percent-encoded UTF-8, is
// blank, has more than 255 characters or a control character, or is one that
// many people share, such as "null".
//
// A browser can send any cookie. A Visitor says whom to count, and not whom to
// trust: where the program knows its user, that user's identity comes first.
func Identity(r *http.Request) Visitor {
	return Visitor{UserID: identity(r, namedCookie), AnonymousID: identity(r, anonymousCookie)}
}

// identity returns the identity in a cookie, or nothing.
func identity(r *http.Request, name string) string {
	cookie, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	// Not a query: base64 has a plus, which is no space.
	value, err := url.PathUnescape(cookie.Value)
	if err != nil || strings.ContainsFunc(value, unicode.IsControl) {
		return ""
	}
	if (Command{Kind: KindIdentify, ID: value}).Validate() != nil {
		return ""
	}
	return value
}

type visitorKey struct{}

// Middleware returns a handler that puts the [Identity] of each request into
// its context, where [FromContext] finds it.
func Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, Identity(r))))
	})
}

// FromContext returns the visitor that [Middleware] put into the context, and
// the zero Visitor where there is none.
func FromContext(ctx context.Context) Visitor {
	visitor, _ := ctx.Value(visitorKey{}).(Visitor)
	return visitor
}
