package collect

import (
	"context"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// An Option configures [NewHandler]. Where one is given twice, the later counts.
type Option func(*config)

type config struct {
	writeKeys   []string
	sources     []Source
	origins     map[string]bool
	publicURL   *url.URL
	shortPaths  bool
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
		maxBytes:    5 << 20,
		maxMessages: 10_000,
		readTimeout: 30 * time.Second,
		clockStep:   15 * time.Minute,
		onResult:    func(context.Context, Result) {},
		logger:      slog.New(slog.DiscardHandler),
	}
}

// WithWriteKeys gives the write keys that are accepted: those that the SDKs are
// set up with. Several allow for one to be replaced. [WithSources] tells senders
// apart. One of the two is required.
func WithWriteKeys(keys ...string) Option {
	return func(c *config) { c.writeKeys = slices.Clone(keys) }
}

// WithSources gives several sources of messages, each with write keys of its own,
// and where wanted a sender and a transform: for tenants, or for several products of
// Kissmetrics.
func WithSources(sources ...Source) Option {
	return func(c *config) { c.sources = slices.Clone(sources) }
}

// WithOrigins allows the pages of the given origins, such as
// "https://shop.example", to send with a browser's SDK; "*" allows all pages, but
// not with cookies. By default only pages of the handler's own host may send, which is
// that of the request, or of [WithPublicURL].
func WithOrigins(origins ...string) Option {
	return func(c *config) {
		c.origins = map[string]bool{}
		for _, origin := range origins {
			c.origins[origin] = true
		}
	}
}

// WithPublicURL says where the world finds this handler, such as
// "https://collect.shop.example", and makes it answer the SDKs that ask for their
// configuration: RudderStack's with the configUrl (or control plane URL), Segment's
// with the cdnURL of this handler. A page needs no more than that one line then.
func WithPublicURL(publicURL string) Option {
	return func(c *config) {
		c.publicURL, _ = url.Parse(publicURL)
		if c.publicURL == nil {
			c.publicURL = &url.URL{} // which is refused
		}
	}
}

// WithShortPaths takes /b, /t and the other paths of Segment's SDKs for browsers and
// phones without /v1 before them as well, for SDKs that are pointed at a host alone.
func WithShortPaths() Option { return func(c *config) { c.shortPaths = true } }

// WithLimits bounds a body, before and after decompression, and the messages of
// a batch: by default 5 MiB and 10,000. RudderStack's own limit is 4 MiB,
// which its SDK for Python passes before it closes a batch; Segment's are 500 KB and
// 2,500 messages.
func WithLimits(bytes, messages int) Option {
	return func(c *config) { c.maxBytes, c.maxMessages = bytes, messages }
}

// WithReadTimeout bounds how long a body takes to arrive, 30 seconds by default.
func WithReadTimeout(timeout time.Duration) Option {
	return func(c *config) { c.readTimeout = timeout }
}

// WithClockStep sets the steps in which wrong clocks are corrected: 15 minutes by
// default, because all time zones are whole steps apart; see [Handler]. Zero means that
// all clocks are believed, which is right where only servers send.
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

// WithLogger gives a logger for what was not accepted: messages, and, once a minute at
// most for each reason, requests. It never sees a write key, an identity or the value of
// a property. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = safelog.Logger(logger) }
}

// configure applies options to the defaults and reports all that is wrong.
func configure(sender kissmetrics.Sender, options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "collect")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	c.validateSources(sender, wrong)
	if u := c.publicURL; u != nil && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "") {
		wrong.Add("WithPublicURL: not a scheme (http or https) and a host")
	}
	for _, origin := range slices.Sorted(maps.Keys(c.origins)) {
		if u, err := url.Parse(origin); origin != "*" && (err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != origin) {
			wrong.Add("WithOrigins: %q is neither a scheme and a host nor \"*\"", origin)
		}
	}
	if c.maxBytes < 1 || c.maxMessages < 1 {
		wrong.Add("WithLimits: %d bytes and %d messages leave no room", c.maxBytes, c.maxMessages)
	}
	if c.readTimeout <= 0 {
		wrong.Add("WithReadTimeout: %v is not positive", c.readTimeout)
	}
	if c.clockStep < 0 || c.clockStep%time.Second != 0 {
		wrong.Add("WithClockStep: %v is not a whole number of seconds", c.clockStep)
	}
	if c.onResult == nil {
		wrong.Add("WithOnResult: the function is nil")
	}
	wrong.Logger(c.logger)
	return c, wrong.Err()
}

// validateSources reports what is wrong with the write keys and where they lead.
func (c *config) validateSources(sender kissmetrics.Sender, wrong *complaint.List) {
	if len(c.writeKeys) == 0 && len(c.sources) == 0 {
		wrong.Add("WithWriteKeys or WithSources is required")
	}
	all := c.sources
	if len(c.writeKeys) > 0 || len(all) == 0 {
		all = append([]Source{{Name: "WithWriteKeys", WriteKeys: c.writeKeys, Transform: c.transform}}, all...)
	}
	keys, names := map[string]bool{}, map[string]bool{}
	for _, source := range all {
		if source.Name == "" || names[source.Name] {
			wrong.Add("WithSources: a name is missing, or twice")
		}
		names[source.Name] = true
		if source.Sender == nil && nilness.IsNil(sender) || source.Sender != nil && nilness.IsNil(source.Sender) {
			wrong.Add("the sender of %q is nil", source.Name)
		}
		if len(source.WriteKeys) == 0 && source.Name != "WithWriteKeys" {
			wrong.Add("WithSources: %q has no write key", source.Name)
		}
		for _, key := range source.WriteKeys {
			if key == "" || keys[key] {
				wrong.Add("a write key of %q is empty, or twice", source.Name)
			}
			keys[key] = true
		}
		if p := source.Transform.Prefix; p < kissmetrics.PrefixNone || p > kissmetrics.PrefixSpacedHyphen {
			wrong.Add("the transform of %q has an unknown prefix style %d", source.Name, p)
		}
	}
}
