// Package collect receives what the SDKs of RudderStack, Segment, Customer.io and
// Hightouch send, and hands it to a [kissmetrics.Sender].
//
//	queue, err := kissmetrics.NewQueue(httpSender)
//	…
//	handler, err := collect.NewHandler(queue, collect.WithWriteKeys(os.Getenv("WRITE_KEY")),
//		collect.WithPublicURL("https://collect.shop.example"), collect.WithOrigins("https://www.shop.example"))
//	…
//	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
//
// Then point an SDK at it. [SDKS.md] has the line for each SDK, and says what each one
// does when something goes wrong.
//
// [SDKS.md]: https://github.com/kissmetrics-go/kissmetrics/blob/main/collect/SDKS.md
package collect

import (
	"context"
	"encoding/base64"
	"net/http"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/people"
)

// A Handler is an [http.Handler] that speaks the HTTP APIs of RudderStack and
// Segment, and hands the records of each message to a sender. It is safe for
// concurrent use, and starts no goroutine.
//
// # Requests
//
// A request is a POST of a JSON object, whatever its Content-Type says. The object may
// be gzipped, whatever its Content-Encoding says, and may begin with a byte order mark:
//
//   - /v1/identify, /v1/page, /v1/screen, /v1/track, /v1/group and /v1/alias take one
//     message, of the type that the path says;
//   - /v1/batch and /v1/import take a list of messages, "batch", each with its type;
//   - /v1/i, p, s, t, g, a and b are the short names of these in Segment's SDKs, and
//     /beacon/v1/batch is where RudderStack's SDK sends when a page is left;
//   - /v1/m and /rsaMetrics, where SDKs report on themselves, take anything and keep
//     nothing.
//
// Doubled slashes count as one, and a slash at the end as none. The handler never
// answers with a redirect, for SDKs turn the POST into a GET. So give it a host of its
// own, or put it behind [http.StripPrefix]. An [http.ServeMux] in front of it would
// redirect paths with doubled slashes.
//
// The write key is the user of Basic authentication, with or without a colon after it,
// the query's writeKey or the body's. The first of these that is there counts. An
// Authorization of any other kind is ignored.
//
// A message is what [kissmetrics.ParseMessage] makes of it. An identify without traits
// takes those of the batch's context. A message whose integrations exclude Kissmetrics
// is accepted and not sent (see [kissmetrics.Excluded]). The integrations of the batch
// count for every destination about which the message says nothing.
//
// The body must be JSON as a whole, apart from what ParseMessage reads although it is
// not JSON, such as Python's NaN. Otherwise nothing of it is accepted. In a body that
// is JSON, a bad message never costs a good one.
//
// # Pages
//
// Browsers send from pages of other origins. [WithOrigins] lists the origins that may.
// Their pages may send any header they ask for, and may read the answer and its
// Retry-After. A POST from a page of any other origin is answered with 403, and nothing
// of it is accepted. Pages of the handler's own host may always send.
//
// SDKs for pages that give their key in the body alone (Customer.io's, Hightouch's) do not
// look at the status of an answer, and would lose what they are asked to repeat. So a 429
// or 503 to such a request lacks the headers with which a browser shows it to a page of
// another origin. The SDK sees a request that failed, and repeats it.
//
// With [WithPublicURL], GET /sourceConfig and GET /v1/projects/<key>/settings answer the
// SDKs of RudderStack and Segment, most of which ask for their configuration before
// they send anything.
//
// A page, an event and an identify of one second often have properties of the same
// names (name, title, url), of which Kissmetrics may keep only the first. Give the
// properties of events a prefix ([kissmetrics.TransformOptions]) where browsers send.
//
// # Answers
//
// Answers are those that the SDKs expect, with a JSON object:
//
//   - 200, {"success":true}: everything was accepted, which means what a nil error of
//     the sender means. "adjusted" lists what was adjusted.
//   - 200, {"success":false, "accepted":…, "rejected":…, "errors":[…]}: some messages of
//     a batch, or all of them, will never be accepted. The errors say which, by index
//     and messageId, and why. The first 100 are listed.
//   - 400: the message will never be accepted, or the body is not of this form.
//     401: the write key is wrong. 403: the page's origin is not allowed.
//     404, 405: wrong path, wrong method. 413: the body or the batch is too large.
//     415: the body is in an unknown Content-Encoding. Nothing was accepted.
//   - 429 ([kissmetrics.ErrQueueFull]) and 503 (anything else that may pass, such as a
//     body that arrives too slowly, or not as a whole), with Retry-After: send the same again. Part of a
//     batch may have been accepted; a repeat does not double it.
//
// Every answer that is not a success has "error", "code" and "message". SDKs for Python
// repeat an error that lacks the last two.
//
// What is wrong with the messages of a batch is never a 400. RudderStack's SDKs for
// phones repeat such a batch every second until another event joins it, two SDKs for
// Node.js end their process, and five for Go repeat it ten times.
//
// # Repeats
//
// SDKs repeat a batch when the answer was lost, or was 429 or 5xx. The handler does not
// send a message again that it has accepted. It recognises a repeat by the messageId
// together with the source and all that Kissmetrics would hear of the message except
// its time. Hence callers can use a messageId to make sure that something counts once;
// a message that reuses the messageId for something else is another message.
//
// The handler remembers the last 262,144 messages at least. It also remembers those that
// the sender did not accept, and gives their repeats the second of the first receipt:
// the sender may have stored what it reported as failed. While a message is under way, a
// second request with it is answered with 503.
//
// A sender's call goes on for up to 30 seconds if the client gives up meanwhile, so that
// what the sender stores is remembered. Nothing more of that batch is begun.
//
// After a restart, or at another instance, a repeat is sent again, with the same second,
// by which Kissmetrics recognises it (see [kissmetrics.Record]). That is not so for a
// message that has no time of its own. All such messages of a batch are handed to the
// sender last, in one call. A sender that takes all or nothing, as a [kissmetrics.Queue]
// and the durable senders do, then accepts none of them if a repeat is to come. It must
// have room for all of them.
//
// # Time
//
// A message happens at its timestamp, else at its originalTimestamp, else at a sentAt of
// its own, else when it is received. Clocks are wrong, so if the request says when it was
// sent, both specifications correct that time to
//
//	receivedAt - (sentAt - originalTimestamp)
//
// Corrected to the millisecond, a message would get another second with each try.
// Therefore the difference of the clocks, receivedAt - sentAt, counts in whole steps of
// 15 minutes (see [WithClockStep]), because all time zones are whole steps apart:
//
//   - A clock is believed if it is fast by less than 7½ minutes, or slow by less than
//     14.
//   - Otherwise the difference is rounded down to whole steps, with a minute of
//     allowance: a clock that is fast by whole steps and up to a minute is put right by
//     these, and by a minute if it is more than a second. What is corrected never
//     happens later than a second after its receipt.
//   - A clock that seems slow is corrected only if the SDK writes sentAt for every try.
//     Other SDKs write it when they close a batch, which may then wait for days.
//     SDKS.md lists them; they are known by context.library. An unknown SDK is
//     corrected by up to a day, unless X-Retry-Count says that this is not the first
//     try, or each message has a sentAt of its own.
//   - A sentAt before 2009 is always corrected.
//
// Times are not corrected for a message without a messageId, and for a timestamp beside
// an originalTimestamp, which a caller of RudderStack's SDKs has set. The zero times of
// Go and .NET count as no time, and so does what cannot be read.
//
// See https://www.rudderstack.com/docs/api/http-api/,
// https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/
// and https://segment.com/docs/connections/spec/common/#timestamps.
//
// # Identities
//
// AliasOnIdentify of [kissmetrics.TransformOptions] joins the anonymous identity of an
// identify to its person, for good. RudderStack's SDKs for browsers keep the anonymous
// identity at reset() and when another person logs in; reset(true) does not. The handler
// therefore remembers the person of the last 65,536 anonymous identities at least, and
// leaves out an alias that would join one of them to a second person
// ([kissmetrics.AdjustedAlias]). It forgets them when it restarts, and does not know
// those of other instances. Do not use the option where several people share a browser.
//
// # Limits
//
// The body is bounded before and after decompression, and so is the number of messages
// (see [WithLimits]). The context of a batch counts once for every message that takes
// its traits; messages beyond the bound are refused. The body must arrive within 30
// seconds (see [WithReadTimeout]), provided that the [http.ResponseWriter] supports
// SetReadDeadline, as those of net/http do. A shorter ReadTimeout of the [http.Server]
// is left as it is. The handler cannot bound what comes before it: set the server's
// ReadHeaderTimeout and IdleTimeout. A WriteTimeout must leave room for the sender, so
// put a [kissmetrics.Queue] or a durable sender behind the handler rather than a bare
// [kissmetrics.HTTPSender].
type Handler struct {
	sender  kissmetrics.Sender
	config  config
	sources sources
	memory  *memory
	people  people.Memory
	logged  lately // of which refusals
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
			return h.refuse(r, unauthorized(r))
		}
	}
	body, refusal := h.read(w, r)
	if refusal != nil {
		return h.refuse(r, *refusal)
	}
	defer body.release()
	b, problem := h.parse(body.Bytes(), e)
	defer b.release()
	if source == nil && !b.isUnreadable { // or nobody can say whose it is
		if source, known = h.sources.of(b.writeKey); !known {
			return h.refuse(r, unauthorized(r))
		}
	}
	if problem != nil {
		return h.refuse(r, *problem)
	}
	b.received, b.source, b.retry = received, source, isRetry(r.Header.Get("X-Retry-Count"))
	t := h.take(r.Context(), b)
	h.logTaken(r.Context(), b, t)
	return t.answer(e.isBatch())
}

// givenKey returns the write key of a request that has one outside its body.
func givenKey(r *http.Request) (key string, known bool) {
	if key = basicUser(r); key == "" {
		// No key has spaces, but SDKs do not escape a plus.
		key = strings.ReplaceAll(r.URL.Query().Get("writeKey"), " ", "+")
	}
	return key, key != ""
}

// basicUser returns the user of Basic authentication. An Authorization of another kind is
// none of ours. [http.Request.BasicAuth] wants a colon after the user, but some SDKs
// encode the key alone.
func basicUser(r *http.Request) string {
	scheme, credentials, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return ""
	}
	decoded, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return ""
	}
	user, _, _ := strings.Cut(string(decoded), ":")
	return user
}

// isRetry reports whether a count of tries, in which the first is none or 0, is that of
// another one.
func isRetry(count string) bool { return count != "" && count != "0" }

// unauthorized returns the answer to a wrong key. RudderStack's SDKs for phones stop
// only where it says "invalid write key".
func unauthorized(r *http.Request) answer {
	a := failure(http.StatusUnauthorized, "invalid_write_key", "invalid write key")
	// A browser would ask the visitor for a password. It names no origin where a page
	// asks its own host for something.
	a.challenge = r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Mode") == ""
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
