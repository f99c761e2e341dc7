package kissmetrics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// DefaultBaseURL is where records are sent unless [WithBaseURL] says otherwise.
const DefaultBaseURL = "https://trk.kissmetrics.com"

// An Option configures [New], [NewHTTPSender] or [NewQueue], which report what
// is wrong with it. Where an option is given twice, the later one counts.
type Option func(*config)

// A use is what an option is for.
type use uint8

const (
	forHTTP   use = 1 << iota // the sending over HTTP
	forQueue                  // a queue
	forClient                 // what only a client has
)

// config is what the options say.
type config struct {
	apiKey         string
	baseURL        string
	doer           Doer
	timeout        time.Duration
	maxAttempts    int
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
	transform      TransformOptions
	sender         Sender
	queue          []Option
	workers        int
	maxRecords     int
	maxBytes       int
	whenFull       FullPolicy
	onResult       func(context.Context, Record, error)

	given    []string // the names of the options that were given,
	uses     []use    // and what each is for
	base     *url.URL // what baseURL says
	forQueue *config  // what the options of the queue say
}

// defaults is what holds where no option says otherwise.
func defaults() config {
	return config{
		baseURL:        DefaultBaseURL,
		timeout:        10 * time.Second,
		maxAttempts:    4,
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     30 * time.Second,
		logger:         slog.New(slog.DiscardHandler),
		workers:        8,
		maxRecords:     100_000,
		maxBytes:       64 << 20,
	}
}

// option returns an Option that notes its name and use, and sets something.
func option(name string, use use, set func(*config)) Option {
	return func(c *config) {
		c.given, c.uses = append(c.given, name), append(c.uses, use)
		set(c)
	}
}

// WithAPIKey gives the API key of the Kissmetrics product that the events
// belong to, as its settings page shows it. It is required, unless WithSender
// is given. The key never appears in an error or a log line of this package.
func WithAPIKey(key string) Option {
	return option("WithAPIKey", forHTTP, func(c *config) { c.apiKey = key })
}

// WithBaseURL gives the server to send to, https://trk.kissmetrics.com by
// default: a scheme (http or https), a host, and optionally a port and a prefix
// of the path. The newest clients of Kissmetrics itself use
// https://trk.kissmetrics.io.
func WithBaseURL(baseURL string) Option {
	return option("WithBaseURL", forHTTP, func(c *config) { c.baseURL = baseURL })
}

// WithDoer gives what makes the requests, such as an [*net/http.Client] or a
// wrapper of one. The default is a client of its own with timeouts, whose
// connections are kept alive.
//
// Redirects must not be followed, since they would carry the API key elsewhere:
// of an *http.Client, a copy that does not is used.
func WithDoer(doer Doer) Option {
	return option("WithDoer", forHTTP, func(c *config) { c.doer = doer })
}

// WithTimeout bounds one attempt at one request, 10 seconds by default. A
// context given to a call bounds all of it.
func WithTimeout(timeout time.Duration) Option {
	return option("WithTimeout", forHTTP, func(c *config) { c.timeout = timeout })
}

// WithMaxAttempts bounds how often a record is tried, 4 times by default. 1
// means that nothing is tried again.
func WithMaxAttempts(attempts int) Option {
	return option("WithMaxAttempts", forHTTP, func(c *config) { c.maxAttempts = attempts })
}

// WithBackoff sets the waits between attempts: the n-th is drawn evenly from
// zero to initial·2ⁿ⁻¹, or to limit where that is less. The default is 500
// milliseconds and 30 seconds. A server's Retry-After is waited for where it is
// longer, up to 5 minutes.
func WithBackoff(initial, limit time.Duration) Option {
	return option("WithBackoff", forHTTP|forQueue, func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit })
}

// WithLogger gives a logger for what goes on inside: at debug level, every
// attempt that failed and why. It never sees the API key, a query string or the
// value of a property. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return option("WithLogger", forHTTP|forQueue, func(c *config) { c.logger = logger })
}

// WithPrefixProperties names the properties of events and pages after their
// event, "<event>-<property>", as the setting "Prefix Properties" of
// RudderStack does in cloud mode. It is short for
// WithPrefixStyle(PrefixHyphen).
func WithPrefixProperties() Option {
	return option("WithPrefixProperties", forClient, func(c *config) { c.transform.Prefix = PrefixHyphen })
}

// WithPrefixStyle names the properties of events and pages after their event
// in the given style. The default is PrefixNone.
func WithPrefixStyle(style PrefixStyle) Option {
	return option("WithPrefixStyle", forClient, func(c *config) { c.transform.Prefix = style })
}

// WithAliasOnIdentify makes an Identify that has both a UserID and an
// AnonymousID say that the two are one person, as Segment does. Kissmetrics
// cannot undo that, so it is off by default.
func WithAliasOnIdentify() Option {
	return option("WithAliasOnIdentify", forClient, func(c *config) { c.transform.AliasOnIdentify = true })
}

// WithOrderTotalAsRevenue takes the property "total" of an event "Order
// Completed" (or "Completed Order", in any case, with spaces or underscores)
// for its revenue where it has none, as Segment does. It is off by default.
func WithOrderTotalAsRevenue() Option {
	return option("WithOrderTotalAsRevenue", forClient, func(c *config) { c.transform.OrderTotalAsRevenue = true })
}

// WithSender replaces the sending over HTTP: the client hands the records of
// each message to sender. It cannot be given together with the options that
// are about HTTP. The sender stays the caller's to close.
func WithSender(sender Sender) Option {
	return option("WithSender", forClient, func(c *config) { c.sender = sender })
}

// WithQueue puts a [Queue] between the client and the sender: a call returns
// when the queue has accepted the message. The options are those of [NewQueue];
// WithBackoff and WithLogger hold for both. WithMaxAttempts cannot be given with
// it, since a queue goes on trying until it is closed. The client must be
// closed, which closes its queue.
func WithQueue(options ...Option) Option {
	return option("WithQueue", forClient, func(c *config) { c.queue = options })
}

// WithWorkers sets how many requests a queue has under way at most, 8 by
// default.
func WithWorkers(workers int) Option {
	return option("WithWorkers", forQueue, func(c *config) { c.workers = workers })
}

// WithCapacity bounds what waits in a queue: by default 100,000 records and
// 64 MiB. A record counts about as many bytes as its query string, and a message
// 64 more; see [Stats].
func WithCapacity(records, bytes int) Option {
	return option("WithCapacity", forQueue, func(c *config) { c.maxRecords, c.maxBytes = records, bytes })
}

// WithFullPolicy says what becomes of a message for which a queue has no room.
// The default is FullRefuse.
func WithFullPolicy(policy FullPolicy) Option {
	return option("WithFullPolicy", forQueue, func(c *config) { c.whenFull = policy })
}

// WithOnResult gives a function that a queue calls once for every record that it
// accepted, with the context of the call that brought it (which cannot be
// cancelled any more) and what became of it:
//
//   - nil: the next sender took it;
//   - a [*DeliveryError] or a [*ValidationError]: the next sender will never
//     take it;
//   - [ErrQueueFull]: it was dropped to make room (FullDropOldest);
//   - [ErrClosed]: it was handed back by Close.
//
// The function is called by many goroutines at once, for records of one message
// too, outside any lock, and holds up the worker that calls it. It must not call Flush or Close, which
// wait for it. If it panics, that is logged.
func WithOnResult(f func(ctx context.Context, record Record, err error)) Option {
	return option("WithOnResult", forQueue, func(c *config) { c.onResult = f })
}

// configure applies options to the defaults and reports all that is wrong.
func configure(options []Option, use use) (config, error) {
	c := defaults()
	err := c.configure(options, use)
	return c, err
}

func (c *config) configure(options []Option, use use) error {
	var wrong []error
	invalid := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%w: %s", ErrInvalidOption, fmt.Sprintf(format, args...)))
	}
	for _, o := range options {
		if o == nil {
			invalid("an option is nil")
			continue
		}
		o(c)
	}
	c.validate(use, invalid)
	if slices.Contains(c.given, "WithQueue") {
		queue := defaults()
		queue.logger, queue.initialBackoff, queue.maxBackoff = c.logger, c.initialBackoff, c.maxBackoff
		if err := queue.configure(c.queue, forQueue); err != nil {
			wrong = append(wrong, err)
		}
		c.forQueue = &queue
	}
	return errors.Join(wrong...)
}

// validate reports every option that is wrong, and parses the base URL.
func (c *config) validate(use use, invalid func(format string, args ...any)) {
	given := func(name string) bool { return slices.Contains(c.given, name) }
	for i, name := range c.given {
		switch uses := c.uses[i]; {
		case uses&use == 0 && use == forHTTP:
			invalid("%s is not for NewHTTPSender", name)
		case uses&use == 0 && use == forQueue:
			invalid("%s is not for a queue", name)
		case uses&use == 0:
			invalid("%s is for WithQueue and NewQueue", name)
		case uses&forHTTP != 0 && given("WithSender") && (uses&forQueue == 0 || !given("WithQueue")):
			invalid("%s has no effect with WithSender", name)
		case name == "WithMaxAttempts" && given("WithQueue"):
			invalid("%s has no effect with WithQueue, which goes on trying", name)
		}
	}
	switch {
	case use == forQueue:
	case given("WithSender"):
		if isNil(c.sender) {
			invalid("WithSender: the sender is nil")
		}
	case c.apiKey == "":
		invalid("WithAPIKey is required and must not be empty")
	case strings.ContainsFunc(c.apiKey, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		invalid("WithAPIKey: the key holds white space or control characters")
	}
	if given("WithDoer") && isNil(c.doer) {
		invalid("WithDoer: the Doer is nil")
	}
	var problem string
	if c.base, problem = parseBaseURL(c.baseURL); problem != "" {
		invalid("WithBaseURL: %s", problem)
	}
	if c.timeout <= 0 {
		invalid("WithTimeout: %v is not positive", c.timeout)
	}
	if c.maxAttempts < 1 {
		invalid("WithMaxAttempts: %d is less than 1", c.maxAttempts)
	}
	if c.initialBackoff <= 0 || c.maxBackoff < c.initialBackoff {
		invalid("WithBackoff: %v and %v are not a positive wait and its limit", c.initialBackoff, c.maxBackoff)
	}
	if c.logger == nil {
		invalid("WithLogger: the logger is nil")
	}
	if s := c.transform.Prefix; s < PrefixNone || s > PrefixSpacedHyphen {
		invalid("WithPrefixStyle: unknown style %d", s)
	}
	if c.workers < 1 || c.workers > maxWorkers {
		invalid("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	if c.maxRecords < 1 || c.maxBytes < 1 {
		invalid("WithCapacity: %d records and %d bytes are no room", c.maxRecords, c.maxBytes)
	}
	if p := c.whenFull; p < FullRefuse || p > FullDropOldest {
		invalid("WithFullPolicy: unknown policy %d", p)
	}
	if given("WithOnResult") && c.onResult == nil {
		invalid("WithOnResult: the function is nil")
	}
}

// parseBaseURL returns the base URL, or says what is wrong with it, without
// quoting what may hold a password.
func parseBaseURL(s string) (base *url.URL, problem string) {
	base, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, "not a URL"
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, "the scheme must be http or https"
	case base.Hostname() == "" || base.Opaque != "":
		return nil, "there is no host"
	case base.User != nil:
		return nil, "a user or password is not allowed"
	case strings.ContainsAny(s, "?#"):
		return nil, "a query or fragment is not allowed"
	case strings.HasSuffix(base.Host, ":"):
		return nil, "the port is empty"
	case strings.ContainsFunc(base.Hostname(), isNoHostRune):
		return nil, "the host is neither a name nor an address"
	case strings.Contains(base.Path, "//"),
		base.Path != "" && base.Path != "/" && path.Clean(base.Path) != strings.TrimSuffix(base.Path, "/"):
		return nil, "the path holds an empty or a relative part"
	}
	if port := base.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "the port is not one from 1 to 65535"
		}
	}
	return base, ""
}

// isNoHostRune reports whether no name of a host holds c, nor an address.
func isNoHostRune(c rune) bool {
	return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("-._:%", c)
}

// isNil reports whether v is nil or a nil pointer, map or function in an
// interface.
func isNil(v any) bool {
	rv := reflect.ValueOf(v)
	switch rv.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Map, reflect.Func, reflect.Slice, reflect.Chan:
		return rv.IsNil()
	}
	return false
}
