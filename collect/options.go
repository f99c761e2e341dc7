package collect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// An Option configures [Handler]. Where one is given twice, the later counts.
type Option func(*config)

type config struct {
	writeKeys   []string
	origins     []string
	maxBytes    int
	maxMessages int
	readTimeout time.Duration
	clockStep   time.Duration
	transform   kissmetrics.TransformOptions
	onResult    func(context.Context, Result)
	logger      *slog.Logger
}

func defaults() config {
	return config{
		maxBytes:    4 << 20,
		maxMessages: 10_000,
		readTimeout: 30 * time.Second,
		clockStep:   10 * time.Minute,
		onResult:    func(context.Context, Result) {},
		logger:      slog.New(slog.DiscardHandler),
	}
}

// WithWriteKeys gives the write keys that are accepted: those that the SDKs are
// set up with. It is required. Several allow for one to be replaced, or for
// telling senders apart.
func WithWriteKeys(keys ...string) Option {
	return func(c *config) { c.writeKeys = keys }
}

// WithOrigins allows the pages of the given origins, such as
// "https://shop.example", to send with a browser's SDK; "*" allows all pages. By
// default none is allowed (CORS is off).
func WithOrigins(origins ...string) Option {
	return func(c *config) { c.origins = origins }
}

// WithLimits bounds a body, before and after decompression, and the messages of
// a batch: by default 4 MiB, which is RudderStack's limit (Segment has 500 KB),
// and 10,000 (Segment has 2,500).
func WithLimits(bytes, messages int) Option {
	return func(c *config) { c.maxBytes, c.maxMessages = bytes, messages }
}

// WithReadTimeout bounds how long a body takes to arrive, 30 seconds by default.
func WithReadTimeout(timeout time.Duration) Option {
	return func(c *config) { c.readTimeout = timeout }
}

// WithClockStep sets the steps in which wrong clocks are corrected, 10 minutes by
// default; see [Handler]. Zero means that all clocks are believed, which is right
// where only servers send.
func WithClockStep(step time.Duration) Option {
	return func(c *config) { c.clockStep = step }
}

// WithTransform says how messages become records.
func WithTransform(options kissmetrics.TransformOptions) Option {
	return func(c *config) { c.transform = options }
}

// WithOnResult gives a function that is called for every message of every
// request that was taken apart, before it is answered, with the context of the
// request. It is called by many goroutines at once, and holds up the answer. If
// it panics, that is logged.
func WithOnResult(f func(ctx context.Context, result Result)) Option {
	return func(c *config) { c.onResult = f }
}

// WithLogger gives a logger for what was not accepted. It never sees a write key,
// an identity or the value of a property. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = logger }
}

// configure applies options to the defaults and reports all that is wrong.
func configure(sender kissmetrics.Sender, options []Option) (config, error) {
	c := defaults()
	var wrong []error
	invalid := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%w: collect: %s", kissmetrics.ErrInvalidOption, fmt.Sprintf(format, args...)))
	}
	for _, o := range options {
		if o == nil {
			invalid("an option is nil")
			continue
		}
		o(&c)
	}
	if rv := reflect.ValueOf(sender); sender == nil || rv.Kind() == reflect.Pointer && rv.IsNil() {
		invalid("the sender is nil")
	}
	if len(c.writeKeys) == 0 {
		invalid("WithWriteKeys is required")
	}
	for _, key := range c.writeKeys {
		if key == "" {
			invalid("WithWriteKeys: a key is empty")
		}
	}
	for _, origin := range c.origins {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			invalid("WithOrigins: %q is neither a scheme and a host nor \"*\"", origin)
		}
	}
	if c.maxBytes < 1 || c.maxMessages < 1 {
		invalid("WithLimits: %d bytes and %d messages are no room", c.maxBytes, c.maxMessages)
	}
	if c.readTimeout <= 0 {
		invalid("WithReadTimeout: %v is not positive", c.readTimeout)
	}
	if c.clockStep < 0 || c.clockStep%time.Second != 0 {
		invalid("WithClockStep: %v is not a whole number of seconds", c.clockStep)
	}
	if p := c.transform.Prefix; p < kissmetrics.PrefixNone || p > kissmetrics.PrefixSpacedHyphen {
		invalid("WithTransform: unknown prefix style %d", p)
	}
	if c.onResult == nil {
		invalid("WithOnResult: the function is nil")
	}
	if c.logger == nil {
		invalid("WithLogger: the logger is nil")
	}
	return c, errors.Join(wrong...)
}
