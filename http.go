package kissmetrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kissmetrics-go/kissmetrics/internal/answer"
	"github.com/kissmetrics-go/kissmetrics/internal/baseurl"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/neterr"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

const (
	// maxQueryBytes is how long a query may be before it is posted as a form;
	// Segment draws the line at the same place.
	maxQueryBytes = 2048
	// maxRetryAfter bounds how long a server can tell a record to wait.
	maxRetryAfter = 5 * time.Minute
)

// A Sender takes records, to deliver or to store them.
//
// Send takes the records of one message, in the order in which they are to be
// delivered, and takes all of them or none: an error means that the caller
// still has all of them, and may send all of them again. (A [*DeliveryError]
// says more: some may have been delivered, which makes a repeat superfluous but
// not harmful, for Kissmetrics ignores it.) A Sender refuses records that are
// not valid with the error of [Record.Validate]. What nil means, delivered or
// merely accepted, is for each Sender to say.
//
// Send may be called by many goroutines at once. It ends when ctx does. It does
// not change records nor what they hold. After it has returned it keeps neither
// the slice nor the Properties in it; strings it may keep. A Sender that goes on
// working then uses ctx for its values only.
//
// A Sender that gathers records is a [Flusher] too. A caller that has another
// Sender behind it learns from [Settle] what an error means for each record.
type Sender interface {
	Send(ctx context.Context, records []Record) error
}

// A Flusher is a [Sender] that gathers what it has taken. Flush hands all of it
// on, and returns when that is done or ctx has ended. The Flush and the Close of a
// [Client] or a [Queue] call the Flush of the sender behind it.
type Flusher interface {
	Flush(ctx context.Context) error
}

// A Doer makes an HTTP request, as [*net/http.Client] does; the rules are those
// of its Do method, and it must be safe for concurrent use. It must not follow
// redirects.
type Doer interface {
	Do(request *http.Request) (*http.Response, error)
}

// DoerFunc is a function as a [Doer].
type DoerFunc func(*http.Request) (*http.Response, error)

// Do calls f(request).
func (f DoerFunc) Do(request *http.Request) (*http.Response, error) { return f(request) }

// HTTPSender is a [Sender] that delivers records to the tracking API, one
// request a record: Send returns nil when the server has answered every one of
// them with a 2xx status.
//
// A request is a GET, or, once its query is longer than 2,048 bytes, a POST of
// the same parameters as a form. Whatever fails is tried again, as
// [WithMaxAttempts] and [WithBackoff] say. If the next wait would go beyond the
// deadline of the context, Send does not wait for it, but returns the last failure.
//
// Kissmetrics answers 200 with a picture to whatever it is sent. So a 2xx proves
// little, which is why Send checks every record first and sends none if one is
// invalid. And any other answer, a 4xx too, is not from Kissmetrics but from
// something on the way to it, such as a proxy that wants a password, or a firewall
// that dislikes a value. Such an answer ([FailureRefused]), a redirect, or a 200
// with a web page, is a failure that may pass. It does not keep the next record of
// the message from being sent, while any other failure does. A 304 comes from a cache
// and counts as 200.
//
// Connections are kept alive and shared, those of HTTP/2 where the server speaks
// it, which costs less over a network. After three failures in a row idle ones are
// closed, so that the next attempt looks up the host's name and connects anew.
//
// It is safe for concurrent use, and need not be closed.
type HTTPSender struct {
	config      *httpConfig
	doer        Doer
	connections *connections
	requests    map[Kind]*http.Request // of every kind one without its query, to be copied
}

// httpConfig is what the options of an [HTTPSender] say.
type httpConfig struct {
	sharedConfig

	apiKey      *string // behind a pointer, where no %+v of a sender prints it
	baseURL     string
	doer        Doer
	transport   http.RoundTripper
	timeout     time.Duration
	maxAttempts int

	given []string // the names of the options that were given
	base  *url.URL // what baseURL says
}

func defaultHTTP() httpConfig {
	return httpConfig{
		sharedConfig: defaultShared(),
		baseURL:      DefaultBaseURL,
		timeout:      10 * time.Second,
		maxAttempts:  4,
	}
}

// NewHTTPSender returns a sender for pipelines that have no [Client]. It needs
// [WithAPIKey], and reports every option that is wrong at once, each wrapping
// [ErrInvalidOption].
func NewHTTPSender(options ...HTTPOption) (*HTTPSender, error) {
	c, err := configureHTTP(options)
	if err != nil {
		return nil, err
	}
	return newHTTPSender(c), nil
}

func newHTTPSender(c httpConfig) *HTTPSender {
	if !looksLikeAPIKey(*c.apiKey) {
		c.logger.Warn("kissmetrics: the API key does not look like one: keys have about 40 hexadecimal digits", "length", len(*c.apiKey))
	}
	s := &HTTPSender{config: &c, doer: c.doer, connections: &connections{}, requests: make(map[Kind]*http.Request)}
	header := http.Header{"User-Agent": {"kissmetrics-go/" + version()}}
	for _, kind := range []Kind{KindEvent, KindProperties, KindAlias} {
		s.requests[kind] = &http.Request{
			Method: http.MethodGet, URL: c.base.JoinPath(kind.Path()), Host: c.base.Host, Header: header,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		}
	}
	if client, ok := c.doer.(*http.Client); ok {
		still := *client
		still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		s.doer = &still
	}
	if s.doer == nil {
		if c.transport == nil {
			s.connections.transport = newTransport()
			c.transport = s.connections.transport
		}
		s.doer = DoerFunc(c.transport.RoundTrip) // neither redirects nor cookies
	}
	return s
}

func configureHTTP(options []HTTPOption) (httpConfig, error) {
	c := defaultHTTP()
	wrong := complaint.New(ErrInvalidOption, "")
	complaint.Apply(options, wrong, func(o HTTPOption) { o.applyHTTP(&c) })
	c.validate(wrong)
	return c, wrong.Err()
}

func (c *httpConfig) validate(wrong *complaint.List) {
	c.sharedConfig.validate(wrong)
	given := func(name string) bool { return slices.Contains(c.given, name) }
	switch {
	case c.apiKey == nil || *c.apiKey == "":
		wrong.Add("WithAPIKey is required and must not be empty")
	case strings.ContainsFunc(*c.apiKey, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
		wrong.Add("WithAPIKey: the key holds white space or control characters")
	}
	if given("WithDoer") && nilness.IsNil(c.doer) {
		wrong.Add("WithDoer: the Doer is nil")
	}
	if given("WithTransport") && nilness.IsNil(c.transport) {
		wrong.Add("WithTransport: the transport is nil")
	}
	if given("WithDoer") && given("WithTransport") {
		wrong.Add("WithTransport has no effect with WithDoer")
	}
	var problem string
	if c.base, problem = baseurl.Parse(c.baseURL); problem != "" {
		wrong.Add("WithBaseURL: %s", problem)
	}
	if c.timeout <= 0 {
		wrong.Add("WithTimeout: %v is not positive", c.timeout)
	}
	if c.maxAttempts < 1 {
		wrong.Add("WithMaxAttempts: %d is less than 1", c.maxAttempts)
	}
}

// looksLikeAPIKey reports whether a key has about 40 hexadecimal digits. A GUID has
// 32 of them.
func looksLikeAPIKey(key string) bool {
	return len(key) > 32 && len(key) < 64 && strings.Trim(key, "0123456789abcdefABCDEF") == ""
}

// Send delivers the records. The error is that of the records' validation, and
// then nothing was sent, or a [*DeliveryError] that says which were delivered.
func (s *HTTPSender) Send(ctx context.Context, records []Record) error {
	if err := validate(records); err != nil {
		return err
	}
	return s.send(nilness.Context(ctx), records)
}

// validate checks all records of a message.
func validate(records []Record) error {
	var p problems
	for i := range records {
		records[i].validate(&p)
	}
	return p.err()
}

// send delivers records that are known to be valid.
func (s *HTTPSender) send(ctx context.Context, records []Record) error {
	var failed *DeliveryError
	for i, r := range records {
		failure := s.deliver(ctx, r)
		if failure != nil && failed == nil {
			failed = failure
			failed.Delivered = append([]Record(nil), records[:i]...)
		}
		switch {
		case failed == nil:
		case failure == nil:
			failed.Delivered = append(failed.Delivered, r)
		case failure.Kind == FailureRefused: // which may be about this record alone
			failed.Undelivered = append(failed.Undelivered, r)
		default: // those behind it would only meet the same
			failure.Delivered, failure.Undelivered = failed.Delivered, append(failed.Undelivered, records[i:]...)
			return failure
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// Once returns a sender that is like s, but tries each record once. It is for callers
// that try again by rules of their own, such as a queue or the worker of a job. The
// two share their connections.
func (s *HTTPSender) Once() *HTTPSender {
	once, config := *s, *s.config
	once.config, config.maxAttempts = &config, 1
	return &once
}

// CloseIdleConnections closes the connections that are kept alive for requests
// to come. It has no effect where [WithTransport] or [WithDoer] was given.
func (s *HTTPSender) CloseIdleConnections() { s.connections.close() }

// deliver sends one record until it is delivered or given up.
func (s *HTTPSender) deliver(ctx context.Context, r Record) *DeliveryError {
	query := r.query(*s.config.apiKey)
	var schedule *retry.Schedule // made when there is something to wait for
	if err := ctx.Err(); err != nil {
		return &DeliveryError{Kind: FailureCanceled, Err: err, Reason: err.Error()}
	}
	for attempt := 1; ; attempt++ {
		got, err := s.attempt(ctx, r.Kind, query)
		if got.Verdict == answer.Delivered {
			return nil
		}
		failure := &DeliveryError{Kind: FailureUnavailable, Attempts: attempt, StatusCode: got.Status, RetryAfter: got.RetryAfter, Err: err, Reason: got.Reason}
		if got.Verdict == answer.Refused {
			failure.Kind = FailureRefused
		}
		if err != nil && ctx.Err() != nil {
			failure.Kind, failure.Err, failure.Reason = FailureCanceled, ctx.Err(), ctx.Err().Error()
		}
		if schedule == nil {
			schedule = retry.NewSchedule(s.config.initialBackoff, s.config.maxBackoff)
		}
		wait := schedule.Next(got.RetryAfter, maxRetryAfter)
		deadline, hasDeadline := ctx.Deadline()
		last := failure.Kind == FailureCanceled || attempt >= s.config.maxAttempts ||
			hasDeadline && time.Until(deadline) < wait // nobody would see the next attempt
		s.config.logger.DebugContext(ctx, "kissmetrics: an attempt failed",
			"path", r.Kind.Path(), "attempt", attempt, "reason", got.Reason, "last", last)
		if last {
			return failure
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			failure.Kind, failure.Err = FailureCanceled, ctx.Err()
			failure.Reason = ctx.Err().Error() + " while waiting to try again after: " + got.Reason
			return failure
		}
	}
}

// attempt makes one request. It returns what the answer means, or why there was
// none, in an error that quotes nothing.
func (s *HTTPSender) attempt(ctx context.Context, kind Kind, query string) (got answer.Answer, err error) {
	defer func() {
		if recover() != nil { // the Doer's panic, or that of the body or error it returned
			err = errDoerPanicked
		}
		if err != nil {
			got = answer.Answer{Verdict: answer.Unavailable, Reason: err.Error()}
		}
		s.connections.note(got)
	}()
	ctx, cancel := context.WithTimeout(ctx, s.config.timeout)
	defer cancel()
	response, err := s.doer.Do(s.request(ctx, kind, query))
	if response != nil && response.Body != nil {
		defer func() { _ = response.Body.Close() }()
	}
	switch {
	case err != nil:
		return got, neterr.Wrap(err, neterr.Reason(err))
	case response == nil:
		return got, errNoResponse
	}
	return answer.Read(response), nil
}

// request returns the request for a query: a GET, or a POST of a form where the
// query is long.
func (s *HTTPSender) request(ctx context.Context, kind Kind, query string) *http.Request {
	request := s.requests[kind].WithContext(ctx)
	target := *request.URL
	request.URL = &target
	if s.connections.transport == nil { // which changes no header
		request.Header = request.Header.Clone()
	}
	if len(query) <= maxQueryBytes {
		target.RawQuery = query
		return request
	}
	request.Method = http.MethodPost
	request.Header = request.Header.Clone()
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.ContentLength = int64(len(query))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(query)), nil }
	request.Body, _ = request.GetBody()
	return request
}

var (
	errDoerPanicked = errors.New("the Doer panicked")
	errNoResponse   = errors.New("the Doer returned neither a response nor an error")
)
