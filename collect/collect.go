// Package collect receives what the SDKs of RudderStack and Segment send, and
// hands it to a [kissmetrics.Sender].
//
//	queue, err := kissmetrics.NewQueue(httpSender)
//	…
//	handler, err := collect.Handler(queue, collect.WithWriteKeys(os.Getenv("WRITE_KEY")))
//	…
//	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
//
// Point an SDK at it: the "data plane URL" of RudderStack's, the "host" or
// "endpoint" of Segment's.
package collect

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// Handler returns a handler that speaks the HTTP APIs of RudderStack and
// Segment, and hands the records of each message to sender. It needs
// [WithWriteKeys], and reports every option that is wrong at once, each wrapping
// [kissmetrics.ErrInvalidOption]. It is safe for concurrent use, and starts no
// goroutine.
//
// # Requests
//
// Each is a POST of a JSON object, whatever its Content-Type says, gzipped where
// its Content-Encoding says so:
//
//   - /v1/identify, /v1/page, /v1/screen, /v1/track, /v1/group and /v1/alias
//     hold one message, of the type that the path says;
//   - /v1/batch holds a list of messages, "batch", each with its type;
//   - /v1/import the same, as of the past: every message but an alias must have a
//     timestamp, which is not corrected;
//   - /beacon/v1/batch is what RudderStack's SDK for browsers uses when a page is
//     left, and /v1/i, p, s, t, g, a and b are the short names that Segment's has.
//
// The write key is the user of Basic authentication, or else the body's writeKey
// or the query's, for a beacon can set no headers. Behind a prefix, use
// [http.StripPrefix].
//
// A message is what [kissmetrics.ParseMessage] makes of it. An identify without
// traits takes those of the batch's context. A message that is excluded from
// Kissmetrics by its integrations, or by those of the batch about which it says
// nothing itself, is accepted and not sent; see [kissmetrics.Excluded].
//
// The body must be JSON as a whole: where it is not, nothing of it is accepted. What
// ParseMessage reads although it is no JSON, such as Python's NaN, is read here too.
// In a body that is JSON, no message costs another, whatever it is.
//
// # Answers
//
// They are those that the SDKs expect, with a JSON object:
//
//   - 200, {"success":true}: everything was accepted, which means what a nil from
//     the sender means.
//   - 200, {"success":false, "accepted":…, "rejected":…, "errors":[…]}: some
//     messages of a batch were accepted and the others never will be. It says
//     which, by index and messageId, and why (the first 100 of them).
//   - 400: nothing was accepted, and a repeat will not change that. 401: the
//     write key is wrong. 404, 405: no such path, or not a POST. 413: the body or
//     the batch is too large. 415: an unknown Content-Encoding. Nothing was
//     accepted.
//   - 408: the body did not come in time. Nothing was accepted.
//   - 429 ([kissmetrics.ErrQueueFull]) and 503 (any other failure that may pass),
//     with Retry-After: try the same again. Some messages of a batch may have
//     been accepted, but only such as a repeat does not double.
//
// SDKs drop a batch that is answered with 400, and Segment's for Go repeats it
// ten times first. Therefore one bad message never makes it 400 for the others.
//
// # Repeats
//
// An SDK repeats a whole batch when its answer was lost, or was 429 or 5xx. What
// was accepted the first time is not sent again: the handler remembers the last
// 262,144 messages that it accepted, at least, by their messageId together with
// person, event and time, and takes a repeat for accepted. While the first
// request is still under way, the answer to a second is 503.
//
// What it does not remember, after a restart or at another instance, it sends
// again, with the same second, by which Kissmetrics recognises a repeat (see
// [kissmetrics.Record]). A message without a time would be another second then:
// all such messages of a batch are handed to the sender last and in one call. A
// sender that takes all or none, as a [kissmetrics.Queue] and the durable ones do,
// then accepts none where a repeat is to come; it must have room for all of them.
//
// # Time
//
// A message happens at its timestamp, or else its originalTimestamp, or else when
// it is received. Clocks are wrong, so where the request says when it was sent,
// both specifications correct that time to
//
//	receivedAt - (sentAt - originalTimestamp)
//
// The difference of the two clocks, receivedAt - sentAt, holds the time under way
// as well, and an SDK that tries again does so with another sentAt, or much later
// with the old one. Corrected to the millisecond, a repeat would be another second
// and so another event. Therefore the difference counts in whole steps of ten
// minutes (see [WithClockStep]), rounded towards zero: clocks that are right
// within ten minutes are believed, others corrected to within ten minutes. Not
// corrected are a timestamp beside an originalTimestamp, which is one that the
// caller has set (RudderStack), a message without a messageId, and /v1/import.
// Go's zero time is as good as no time, and a sentAt that is more than a century
// off says nothing.
//
// See https://www.rudderstack.com/docs/api/http-api/,
// https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
// and https://segment.com/docs/connections/spec/common/#timestamps.
//
// # Limits
//
// The body is bounded before and after decompression, and so is the number of
// messages (see [WithLimits]). The context of a batch counts once for every
// message that takes its traits; those beyond the bound are refused. The body
// must arrive within 30 seconds (see [WithReadTimeout]), which holds for every
// [http.ResponseWriter] that supports SetReadDeadline, as those of net/http do; a
// shorter ReadTimeout of the [http.Server] is left as it is. The handler cannot
// bound what comes before it: set the server's ReadHeaderTimeout and IdleTimeout.
// A WriteTimeout must leave room for the sender, so put a [kissmetrics.Queue] or a
// durable sender behind the handler, not a bare [kissmetrics.HTTPSender].
func Handler(sender kissmetrics.Sender, options ...Option) (http.Handler, error) {
	c, err := configure(sender, options)
	if err != nil {
		return nil, err
	}
	h := &handler{sender: sender, config: c, memory: newMemory(rememberedMessages)}
	for _, key := range c.writeKeys {
		h.keys = append(h.keys, sha256.Sum256([]byte(key)))
	}
	h.config.writeKeys = nil // the sums are enough
	return h, nil
}

type handler struct {
	sender kissmetrics.Sender
	config config
	keys   [][sha256.Size]byte
	memory *memory
}

// An endpoint is what a path stands for.
type endpoint struct {
	kind    string // of the one message; empty for a batch
	history bool
}

func endpointOf(path string) (e endpoint, ok bool) {
	if path == "/beacon/v1/batch" {
		return endpoint{}, true
	}
	name, ok := strings.CutPrefix(path, "/v1/")
	if !ok {
		return endpoint{}, false
	}
	switch name {
	case "identify", "page", "screen", "track", "group", "alias":
		return endpoint{kind: name}, true
	case "i":
		return endpoint{kind: "identify"}, true
	case "p":
		return endpoint{kind: "page"}, true
	case "s":
		return endpoint{kind: "screen"}, true
	case "t":
		return endpoint{kind: "track"}, true
	case "g":
		return endpoint{kind: "group"}, true
	case "a":
		return endpoint{kind: "alias"}, true
	case "batch", "b":
		return endpoint{}, true
	case "import":
		return endpoint{history: true}, true
	}
	return endpoint{}, false
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e, ok := endpointOf(r.URL.Path)
	if !ok {
		write(w, failure(http.StatusNotFound, "there is nothing here"))
		return
	}
	h.allowOrigin(w, r)
	switch {
	case r.Method == http.MethodOptions && len(h.config.origins) > 0:
		w.WriteHeader(http.StatusNoContent)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		write(w, failure(http.StatusMethodNotAllowed, "only POST is allowed"))
	default:
		write(w, h.post(w, r, e))
	}
}

// allowOrigin says to browsers which pages may read the answer.
func (h *handler) allowOrigin(w http.ResponseWriter, r *http.Request) {
	if len(h.config.origins) == 0 {
		return
	}
	header := w.Header()
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.Contains(h.config.origins, "*") && !slices.Contains(h.config.origins, origin) || origin == "" {
		return
	}
	header.Set("Access-Control-Allow-Origin", origin)
	if r.Method == http.MethodOptions {
		header.Set("Access-Control-Allow-Methods", http.MethodPost)
		header.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Content-Encoding, AnonymousId")
		header.Set("Access-Control-Max-Age", "7200") // what Chromium believes at most
	}
}

// post answers a request that is to be accepted.
func (h *handler) post(w http.ResponseWriter, r *http.Request, e endpoint) answer {
	received := time.Now()
	limitReading(w, r, h.config.readTimeout)
	key, known := givenKey(r)
	if known && !h.authorized(key) { // before anything is read
		return unauthorized(r)
	}
	body, refusal := h.read(w, r)
	if refusal != nil {
		return *refusal
	}
	defer body.release()
	b, problem := h.parse(body.Bytes(), e)
	if !known && !h.authorized(b.writeKey) {
		return unauthorized(r)
	}
	if problem != nil {
		return *problem
	}
	b.received = received
	t := h.take(r.Context(), b)
	h.logTaken(r.Context(), t)
	return t.answer(e.kind == "")
}

// givenKey returns the write key of a request that has one outside its body.
func givenKey(r *http.Request) (key string, known bool) {
	if r.Header.Get("Authorization") != "" {
		key, _, _ = r.BasicAuth()
		return key, true
	}
	key = r.URL.Query().Get("writeKey")
	return key, key != ""
}

// authorized reports whether a write key is one of ours, in a time that does not
// tell how much of it is right.
func (h *handler) authorized(key string) bool {
	sum := sha256.Sum256([]byte(key))
	right := 0
	for i := range h.keys {
		right |= subtle.ConstantTimeCompare(sum[:], h.keys[i][:])
	}
	return right == 1
}

func unauthorized(r *http.Request) answer {
	a := failure(http.StatusUnauthorized, "the write key is missing or wrong")
	a.challenge = r.Header.Get("Origin") == "" // a browser would ask the visitor for a password
	return a
}

// logTaken logs what was not accepted, without its content.
func (h *handler) logTaken(ctx context.Context, t taken) {
	if t.deferred > 0 {
		h.config.logger.WarnContext(ctx, "collect: asked to try again", "accepted", t.accepted, "deferred", t.deferred, "reason", safeText(t.why))
	}
	if t.refused > 0 {
		h.config.logger.WarnContext(ctx, "collect: messages refused", "accepted", t.accepted, "refused", t.refused, "reason", safeText(t.first))
	}
}
