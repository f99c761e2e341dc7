package kmq

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
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
	// UserID is the identity that the visitor was identified by. It is empty for
	// an anonymous visitor.
	UserID string
	// AnonymousID is the anonymous identity of the visitor. It is empty at the
	// first request, which comes before the script has run, and where the cookie
	// holds no anonymous identity; see [Identity]. To make an alias of it, use
	// [Visitor.Alias], which knows when there must be none.
	AnonymousID string
}

// Alias returns the alias that makes an anonymous visitor the given user, and
// whether there is one to send. Send it where a visitor signs up or logs in:
//
//	if alias, ok := visitor.Alias(userID); ok {
//		err = client.Alias(ctx, alias)
//	}
//
// There is none where the visitor has been identified before, as the last user
// of a shared computer may have been: the alias would make two users one person,
// and nothing can part them again
// (https://support.kissmetrics.io/docs/identities). There is none either without
// an AnonymousID, or where it is the user's own identity.
func (v Visitor) Alias(userID string) (alias kissmetrics.Alias, ok bool) {
	if v.UserID != "" || v.AnonymousID == "" || name.Blank(userID) || name.SameIdentity(v.AnonymousID, userID) {
		return kissmetrics.Alias{}, false
	}
	return kissmetrics.Alias{UserID: userID, PreviousID: v.AnonymousID}, true
}

// Identity returns the visitor of a request, as the cookies km_ni (UserID) and
// km_ai (AnonymousID) say. What the program sends of the visitor must name the
// same identity as what the script sends, or Kissmetrics sees two people.
//
// The AnonymousID is empty where both cookies hold the same identity, however
// they write it: percent-encoded or not, in upper or lower case. (Kissmetrics
// seems to fold the case of identities: those in its exports are all in lower
// case.) The script sets both cookies to the named identity when it identifies
// somebody for the second time, such as on the next page: Kissmetrics' page
// https://oldsupport.kissmetrics.com/learn/identifying-people.html says that
// identify saves its value to km_ai, and in most Cookie headers that are public
// the two are equal. If that counted as anonymous, one user would be aliased to
// the next who logs in.
//
// The cookies are the script's: they are only read, never set
// (https://support.kissmetrics.io/docs/reusing-the-identities-set-by-the-javascript-library).
// A value that is no identity counts as absent: one that is not percent-encoded
// UTF-8, is blank, has more than 255 characters or a control character, or is
// one that many people share, such as "null".
//
// A browser can send any cookie. A Visitor says whom to count, and not whom to
// trust: where the program knows its user, that user's identity comes first.
func Identity(r *http.Request) Visitor {
	v := Visitor{UserID: identity(r, namedCookie), AnonymousID: identity(r, anonymousCookie)}
	if name.SameIdentity(v.UserID, v.AnonymousID) {
		v.AnonymousID = ""
	}
	return v
}

// identity returns the identity in a cookie, or nothing.
func identity(r *http.Request, cookieName string) string {
	cookie, err := r.Cookie(cookieName)
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
	visitor, _ := nilness.Context(ctx).Value(visitorKey{}).(Visitor)
	return visitor
}
