package kissmetrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// DefaultBaseURL is where records are sent unless [WithBaseURL] says otherwise: the
// host that Kissmetrics' [specification] names. The one before it,
// https://trk.kissmetrics.com, is the host that RudderStack sends to;
// Kissmetrics said in 2020 that it would be switched off.
//
// [specification]: https://support.kissmetrics.io/reference/api-specifications-1
const DefaultBaseURL = "https://trk.kissmetrics.io"

// An Option configures [New]. Where an option is given twice, the later one
// counts.
type Option interface{ applyClient(*clientConfig) }

// An HTTPOption configures the sending over HTTP, of [New] or [NewHTTPSender].
type HTTPOption interface {
	Option
	applyHTTP(*httpConfig)
}

// A QueueOption configures a queue, of [WithQueue] or [NewQueue].
type QueueOption interface{ applyQueue(*queueConfig) }

// A SharedOption is both an [HTTPOption] and a [QueueOption].
type SharedOption interface {
	HTTPOption
	QueueOption
}

// clientConfig is what the options of a [Client] say.
type clientConfig struct {
	http      httpConfig
	transform TransformOptions
	onAdjust  func(context.Context, Message, []Adjustment)
	sender    Sender
	queue     []QueueOption

	given []string // the names of the options that were given
}

// sharedConfig is what the sending over HTTP and a queue have in common.
type sharedConfig struct {
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
}

func defaultShared() sharedConfig {
	return sharedConfig{
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     30 * time.Second,
		logger:         slog.New(slog.DiscardHandler),
	}
}

type clientOption struct {
	name string
	set  func(*clientConfig)
}

func (o clientOption) applyClient(c *clientConfig) {
	c.given = append(c.given, o.name)
	o.set(c)
}

type httpOption struct {
	name string
	set  func(*httpConfig)
}

func (o httpOption) applyClient(c *clientConfig) { o.applyHTTP(&c.http) }

func (o httpOption) applyHTTP(c *httpConfig) {
	c.given = append(c.given, o.name)
	o.set(c)
}

type queueOption struct {
	name string
	set  func(*queueConfig)
}

func (o queueOption) applyQueue(c *queueConfig) {
	c.given = append(c.given, o.name)
	o.set(c)
}

type sharedOption struct {
	set func(*sharedConfig)
}

func (o sharedOption) applyClient(c *clientConfig) { o.set(&c.http.sharedConfig) }
func (o sharedOption) applyHTTP(c *httpConfig)     { o.set(&c.sharedConfig) }
func (o sharedOption) applyQueue(c *queueConfig)   { o.set(&c.sharedConfig) }

// WithAPIKey gives the API key of the Kissmetrics product that the events
// belong to, as its settings page shows it. It is required, unless WithSender
// is given. The key never appears in an error or a log line of this package.
//
// Kissmetrics answers 200 to a wrong key too. A key has about 40 hexadecimal
// digits; one that does not look like that, such as an account's id, is used as it
// is, and the log says so once.
func WithAPIKey(key string) HTTPOption {
	return httpOption{"WithAPIKey", func(c *httpConfig) { c.apiKey = &key }}
}

// WithBaseURL gives the server to send to: a scheme (http or https), a host, and
// optionally a port and a prefix of the path. The default is [DefaultBaseURL].
func WithBaseURL(baseURL string) HTTPOption {
	return httpOption{"WithBaseURL", func(c *httpConfig) { c.baseURL = baseURL }}
}

// WithTransport gives what carries the requests, such as a transport that
// traces or counts them. A transport follows no redirects, so the API key goes
// nowhere else. The default is a transport of its own with timeouts, whose
// connections are kept alive.
//
// A transport sees the API key and the values, which are in the URL. OpenTelemetry's
// otelhttp (0.72) puts the whole URL in a span, as url.full, and hashicorp's
// go-retryablehttp (0.7.8) in its log. The example shows how to hide the query from
// such a transport.
func WithTransport(transport http.RoundTripper) HTTPOption {
	return httpOption{"WithTransport", func(c *httpConfig) { c.transport = transport }}
}

// WithDoer gives what makes the requests, such as an [*net/http.Client] or a
// wrapper of one. Prefer [WithTransport]: a Doer must not follow redirects,
// since they would carry the API key elsewhere. An *http.Client is copied, and the
// copy does not follow them; a wrapper must set CheckRedirect itself.
func WithDoer(doer Doer) HTTPOption {
	return httpOption{"WithDoer", func(c *httpConfig) { c.doer = doer }}
}

// WithTimeout bounds one attempt at one request, 10 seconds by default. A
// context given to a call bounds all of it.
func WithTimeout(timeout time.Duration) HTTPOption {
	return httpOption{"WithTimeout", func(c *httpConfig) { c.timeout = timeout }}
}

// WithMaxAttempts bounds how often a record is tried, 4 times by default. 1
// means that nothing is tried again.
func WithMaxAttempts(attempts int) HTTPOption {
	return httpOption{"WithMaxAttempts", func(c *httpConfig) { c.maxAttempts = attempts }}
}

// WithBackoff sets the waits between attempts: the n-th is drawn evenly from
// zero to initial·2ⁿ⁻¹, or to limit where that is less. The default is 500
// milliseconds and 30 seconds. A longer Retry-After of the server is used instead, up
// to 5 minutes.
func WithBackoff(initial, limit time.Duration) SharedOption {
	return sharedOption{func(c *sharedConfig) { c.initialBackoff, c.maxBackoff = initial, limit }}
}

// WithLogger gives a logger for what goes on inside: at debug level, every
// attempt that failed and why; above it, losses, outages and adjustments. It
// never sees the API key, a query string or the value of a property. If its handler
// panics, that line is lost and nothing else. By default nothing is logged.
func WithLogger(logger *slog.Logger) SharedOption {
	return sharedOption{func(c *sharedConfig) { c.logger = safelog.Logger(logger) }}
}

// WithTransform says how messages become records.
func WithTransform(options TransformOptions) Option {
	return clientOption{"WithTransform", func(c *clientConfig) { c.transform = options }}
}

// WithPrefixProperties names the properties of events and pages after their
// event, "<event>-<property>", as the setting "Prefix Properties" of
// RudderStack does in cloud mode. It sets the Prefix of [TransformOptions] to
// [PrefixHyphen].
func WithPrefixProperties() Option {
	return clientOption{"WithPrefixProperties", func(c *clientConfig) { c.transform.Prefix = PrefixHyphen }}
}

// WithStrict refuses what would otherwise be adjusted. It sets the Strict of
// [TransformOptions].
func WithStrict() Option {
	return clientOption{"WithStrict", func(c *clientConfig) { c.transform.Strict = true }}
}

// WithMaxValueLength sets the number of characters to which values are cut: 512
// ([MaxValueLength]) by default, and at most 8192. Raise it if Kissmetrics keeps more
// of yours. It sets the MaxValueLength of [TransformOptions].
func WithMaxValueLength(characters int) Option {
	return clientOption{"WithMaxValueLength", func(c *clientConfig) { c.transform.MaxValueLength = characters }}
}

// WithOnAdjust gives a function that is called for every message that was
// adjusted, before it is sent, with the context of the call and what was
// adjusted; see [Adjustment]. It is called by many goroutines at once, and holds
// up the call. If it panics, that is logged.
func WithOnAdjust(f func(ctx context.Context, message Message, adjustments []Adjustment)) Option {
	return clientOption{"WithOnAdjust", func(c *clientConfig) { c.onAdjust = f }}
}

// WithSender replaces the sending over HTTP: the client hands the records of
// each message to sender. It cannot be given together with the options that
// are about HTTP. The sender stays the caller's to close.
func WithSender(sender Sender) Option {
	return clientOption{"WithSender", func(c *clientConfig) { c.sender = sender }}
}

// WithQueue puts a [Queue] between the client and the sender: a call returns
// when the queue has accepted the message. The client's WithBackoff and
// WithLogger hold for the queue too, unless its own options say otherwise.
// WithMaxAttempts cannot be given with it, since a queue goes on trying until it
// is closed. The client must be closed, which closes its queue.
func WithQueue(options ...QueueOption) Option {
	return clientOption{"WithQueue", func(c *clientConfig) { c.queue = options }}
}

// WithWorkers sets how many requests a queue has under way at most: 168 by
// default, and not more than 1,024. The queue finds out how many go through; see
// [Queue].
func WithWorkers(workers int) QueueOption {
	return queueOption{"WithWorkers", func(c *queueConfig) { c.workers = workers }}
}

// WithCapacity bounds what waits in a queue: by default 100,000 records and
// 64 MiB. A record counts about as many bytes as its query string, and a message
// 64 more; see [Stats].
func WithCapacity(records, bytes int) QueueOption {
	return queueOption{"WithCapacity", func(c *queueConfig) { c.maxRecords, c.maxBytes = records, bytes }}
}

// WithFullPolicy says what becomes of a message for which a queue has no room.
// The default is [FullRefuse].
func WithFullPolicy(policy FullPolicy) QueueOption {
	return queueOption{"WithFullPolicy", func(c *queueConfig) { c.whenFull = policy }}
}

// WithOnResult gives a function that a queue calls once for every record that it
// accepted, with what became of it:
//
//   - nil: the next sender took it;
//   - a [*DeliveryError] or a [*ValidationError]: the next sender will never
//     take it, or it did not take it in the time that [WithMaxAge] gives;
//   - [ErrQueueFull]: it was dropped to make room (FullDropOldest);
//   - [ErrClosed]: it was handed back by Close.
//
// The context never ends. It has the values that [WithContextValues] and
// [WithContext] keep, and no others.
//
// The function is called by many goroutines at once, also for records of one
// message, outside any lock: by a worker of the queue, by the caller whose
// message made the queue drop older ones, or by Close. It holds up whichever
// calls it. It must not call Flush or Close, nor Send with FullWait, for they may
// wait for it, and must not send again with FullDropOldest what was dropped, which
// drops the next without end. If it panics, that is logged.
func WithOnResult(f func(ctx context.Context, record Record, err error)) QueueOption {
	return queueOption{"WithOnResult", func(c *queueConfig) { c.onResult = f }}
}

// WithMaxAge bounds how long a queue tries to deliver a record: one that is older
// when an attempt at it fails is given up, and in an outage all that are older.
// They count as failed, and [WithOnResult] is told with a [*DeliveryError] that
// holds the last failure. Without this option a queue tries until it is closed,
// and a record that the server never takes stays in it for as long.
func WithMaxAge(age time.Duration) QueueOption {
	return queueOption{"WithMaxAge", func(c *queueConfig) { c.maxAge = age }}
}

// WithContextValues makes a queue keep these values of the context of every call: the
// next sender and the function of [WithOnResult] find them in their contexts. A
// queue keeps nothing else of a context, which may hold a whole request and may be
// used for another one when the call has returned.
func WithContextValues(keys ...any) QueueOption {
	return queueOption{"WithContextValues", func(c *queueConfig) { c.keys = append(c.keys, keys...) }}
}

// WithContext gives a function that returns what a queue keeps of the context of a
// call, for values whose keys are not exported, such as the span of a trace. With
// OpenTelemetry:
//
//	kissmetrics.WithContext(func(ctx context.Context) context.Context {
//		return trace.ContextWithSpanContext(context.Background(), trace.SpanContextFromContext(ctx))
//	})
//
// The function is called within the call. Everything that the context it returns
// holds is kept in memory until the message is delivered, so it should hold little.
// Only its values are used, not its deadline. If the function panics or returns nil,
// nothing is kept.
func WithContext(detach func(ctx context.Context) context.Context) QueueOption {
	return queueOption{"WithContext", func(c *queueConfig) { c.detach = detach }}
}

// keep returns a context with what is to be kept of another one, or nil. A context
// that panics, for it is a nil pointer or has been recycled, has no values.
func (c *queueConfig) keep(ctx context.Context) (kept context.Context) {
	if c.detach != nil {
		kept = c.detached(ctx)
	}
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			c.logger.Error("kissmetrics: a context panicked when it was asked for its values")
		}
	}()
	for _, key := range c.keys {
		if value := ctx.Value(key); value != nil {
			if kept == nil {
				kept = context.Background()
			}
			kept = context.WithValue(kept, key, value)
		}
	}
	return kept
}

func (c *queueConfig) detached(ctx context.Context) (kept context.Context) {
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			kept = nil
			c.logger.Error("kissmetrics: the function of WithContext panicked")
		}
	}()
	if kept = c.detach(ctx); nilness.IsNil(kept) {
		return nil
	}
	return context.WithoutCancel(valuesOf{kept})
}

// valuesOf is a context whose values are looked up when nobody knows what has become of
// it. If that panics, there is none, or each delivery would fail.
type valuesOf struct{ context.Context }

func (c valuesOf) Value(key any) (value any) {
	defer func() { _ = recover() }()
	return c.Context.Value(key)
}

// configureClient applies options to the defaults and reports all that is wrong.
// The queue's configuration is nil where there is none.
func configureClient(options []Option) (clientConfig, *queueConfig, error) {
	c := clientConfig{http: defaultHTTP()}
	wrong := complaint.New(ErrInvalidOption, "")
	complaint.Apply(options, wrong, func(o Option) { o.applyClient(&c) })
	hasQueue := slices.Contains(c.given, "WithQueue")
	if slices.Contains(c.given, "WithSender") {
		if nilness.IsNil(c.sender) {
			wrong.Add("WithSender: the sender is nil")
		}
		for _, name := range c.http.given {
			wrong.Add("%s has no effect with WithSender", name)
		}
		c.http.sharedConfig.validate(wrong)
	} else {
		c.http.validate(wrong)
	}
	if hasQueue && slices.Contains(c.http.given, "WithMaxAttempts") {
		wrong.Add("WithMaxAttempts has no effect with WithQueue, which goes on trying")
	}
	c.transform.validate(wrong)
	if slices.Contains(c.given, "WithOnAdjust") && c.onAdjust == nil {
		wrong.Add("WithOnAdjust: the function is nil")
	}
	if !hasQueue {
		return c, nil, wrong.Err()
	}
	queue, err := configureQueue(c.http.sharedConfig, c.queue)
	return c, &queue, errors.Join(wrong.Err(), err)
}

func (c *sharedConfig) validate(wrong *complaint.List) {
	wrong.Backoff(c.initialBackoff, c.maxBackoff)
	wrong.Logger(c.logger)
}

func (o *TransformOptions) validate(wrong *complaint.List) {
	if o.Prefix < PrefixNone || o.Prefix > PrefixSpacedHyphen {
		wrong.Add("WithTransform: unknown prefix style %d", o.Prefix)
	}
	if o.MaxValueLength < 0 || o.MaxValueLength > maxRecordValue {
		wrong.Add("WithMaxValueLength: %d is not a number from 0 to %d", o.MaxValueLength, maxRecordValue)
	}
}
