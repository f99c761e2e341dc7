// Package collect receives what the SDKs of RudderStack and Segment send, and
// hands it to a [kissmetrics.Sender].
//
//	queue, err := kissmetrics.NewQueue(httpSender)
//	…
//	handler, err := collect.NewHandler(queue, collect.WithWriteKeys(os.Getenv("WRITE_KEY")),
//		collect.WithPublicURL("https://collect.shop.example"), collect.WithOrigins("https://www.shop.example"))
//	…
//	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
//
// Point an SDK at it. [SDKS.md] has the line for each, and what each does when
// something goes wrong.
//
// [SDKS.md]: https://github.com/kissmetrics-go/kissmetrics/blob/main/collect/SDKS.md
package collect

import (
	"context"
	"net/http"
	"path"
	"sync/atomic"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Handler is an [http.Handler] that speaks the HTTP APIs of RudderStack and
// Segment, and hands the records of each message to a sender. It is safe for
// concurrent use, and starts no goroutine.
//
// # Requests
//
// Each is a POST of a JSON object, whatever its Content-Type says. It may be
// gzipped, and begin with a byte order mark:
//
//   - /v1/identify, /v1/page, /v1/screen, /v1/track, /v1/group and /v1/alias
//     hold one message, of the type that the path says;
//   - /v1/batch holds a list of messages, "batch", each with its type;
//   - /v1/import the same, as of the past: every message but an alias must have a
//     timestamp;
//   - /beacon/v1/batch is what RudderStack's SDK for browsers uses when a page is
//     left, and /v1/i, p, s, t, g, a and b are the short names that Segment's has;
//   - /v1/m and /rsaMetrics, where SDKs report on themselves, take everything and
//     keep nothing.
//
// Slashes that are doubled, or stand at the end, say nothing. A redirect is never
// the answer: SDKs turn the POST into a GET. So put the handler at the root of its
// own host, or behind [http.StripPrefix]; an [http.ServeMux] would redirect a path
// with doubled slashes before the handler sees it.
//
// With [WithPublicURL], GET /sourceConfig and /v1/projects/<key>/settings answer
// RudderStack's and Segment's SDKs, most of which ask how to behave before they
// send anything.
//
// The write key is the user of Basic authentication, or else the body's writeKey
// or the query's, for a beacon can set no headers.
//
// # Pages
//
// The SDKs of browsers make requests from pages of another origin. [WithOrigins]
// lists those that may. Such a page may send whatever headers it asks for, and read
// the answer and its Retry-After. A POST from a page of any other origin is
// answered with 403, and nothing of it is accepted.
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
//   - 200, {"success":false, "accepted":…, "rejected":…, "errors":[…]}: some or
//     all messages of a batch never will be accepted, and the others were. It says
//     which, by index and messageId, and why (the first 100 of them). What was
//     adjusted is listed too.
//   - 400: the one message never will be accepted, or the body is none of these.
//     401: the write key is wrong. 403: pages of that origin may not send. 404,
//     405: no such path, or not a POST. 413: the body or the batch is too large.
//     415: an unknown Content-Encoding. Nothing was accepted.
//   - 429 ([kissmetrics.ErrQueueFull]) and 503 (any other failure that may pass, a
//     body that did not come in time among them), with Retry-After: try the same
//     again. Some messages of a batch may have been accepted, but only such as a
//     repeat does not double.
//
// All but the first hold "code" and "message" as well: what went wrong, for
// programs and for people. SDKs for Python repeat what has none.
//
// A batch is never answered with 400 for what is in it. RudderStack's SDKs for
// phones repeat such a batch every second until another event joins it, two for
// Node.js end their process, and five for Go repeat it ten times.
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
type Handler struct {
	sender  kissmetrics.Sender
	config  config
	sources sources
	memory  *memory
	people  people
	nowhere atomic.Int64 // when the log last spoke of an unknown path, in Unix nanoseconds
}

// NewHandler returns a handler in front of a sender. It needs [WithWriteKeys] or
// [WithSources], and reports every option that is wrong at once, each wrapping
// [kissmetrics.ErrInvalidOption]. The sender may be nil where every source has its
// own.
func NewHandler(sender kissmetrics.Sender, options ...Option) (*Handler, error) {
	c, err := configure(sender, options)
	if err != nil {
		return nil, err
	}
	h := &Handler{sender: sender, config: c, memory: newMemory(rememberedMessages)}
	if len(c.writeKeys) > 0 {
		h.sources.add(&Source{WriteKeys: c.writeKeys, Transform: c.transform})
	}
	for i := range c.sources {
		h.sources.add(&c.sources[i])
	}
	for _, source := range h.sources.all {
		if source.Sender == nil {
			source.Sender = sender
		}
		source.WriteKeys = nil // the sums are enough
	}
	h.config.writeKeys = nil
	return h, nil
}

// post answers a request that is to be accepted.
func (h *Handler) post(w http.ResponseWriter, r *http.Request, e endpoint) answer {
	received := time.Now()
	limitReading(w, r, h.config.readTimeout)
	var source *Source
	key, known := givenKey(r)
	if known { // before anything is read
		if source, known = h.sources.of(key); !known {
			return unauthorized(r)
		}
	}
	body, refusal := h.read(w, r)
	if refusal != nil {
		return *refusal
	}
	defer body.release()
	b, problem := h.parse(body.content(), e)
	if source == nil {
		if source, known = h.sources.of(b.writeKey); !known {
			return unauthorized(r)
		}
	}
	if problem != nil {
		return *problem
	}
	b.received, b.source, b.retry = received, source, isRetry(r.Header.Get("X-Retry-Count"))
	t := h.take(r.Context(), b)
	h.logTaken(r.Context(), b, t)
	return t.answer(e.isBatch())
}

// givenKey returns the write key of a request that has one outside its body. An
// Authorization that is not Basic is none of ours.
func givenKey(r *http.Request) (key string, known bool) {
	if key, _, known = r.BasicAuth(); known {
		return key, true
	}
	key = r.URL.Query().Get("writeKey")
	return key, key != ""
}

// isRetry reports whether a count of tries, in which the first is none or 0, is that of
// another one.
func isRetry(count string) bool { return count != "" && count != "0" }

// unauthorized returns the answer to a wrong key. RudderStack's SDKs for phones stop
// only where it says "invalid write key".
func unauthorized(r *http.Request) answer {
	a := failure(http.StatusUnauthorized, "invalid_write_key", "invalid write key")
	a.challenge = r.Header.Get("Origin") == "" // a browser would ask the visitor for a password
	return a
}

// logTaken logs what was not accepted, without its content.
func (h *Handler) logTaken(ctx context.Context, b *batch, t taken) {
	logger := h.config.logger
	if b.source.Name != "" {
		logger = logger.With("source", b.source.Name)
	}
	if t.deferred > 0 {
		logger.WarnContext(ctx, "collect: asked to try again", "accepted", t.accepted, "deferred", t.deferred, "reason", safeText(t.why))
	}
	if t.refused > 0 {
		logger.WarnContext(ctx, "collect: messages refused", "accepted", t.accepted, "refused", t.refused, "reason", safeText(t.first))
	}
}

// logNowhere logs, once a minute, that something is sent to a path that is none of
// ours: most often one with a prefix, or without one. It names the part of the path
// that is known to be no secret.
func (h *Handler) logNowhere(r *http.Request) {
	now, last := time.Now().UnixNano(), h.nowhere.Load()
	if r.Method != http.MethodPost || now-last < int64(time.Minute) || !h.nowhere.CompareAndSwap(last, now) {
		return
	}
	name := path.Base(r.URL.Path)
	if endpointNamed(name).route == nowhere {
		name = "…"
	}
	h.config.logger.WarnContext(r.Context(), "collect: nothing is at the path of a POST: is there a prefix that should be stripped?",
		"path", "…/"+name)
}
