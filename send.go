package kissmetrics

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/retry"
)

const (
	// maxQueryBytes is how long a query may be before it is posted as a form;
	// Segment draws the line at the same place.
	maxQueryBytes = 2048
	// maxRetryAfter bounds how long a server can tell a record to wait.
	maxRetryAfter = 5 * time.Minute
	// maxDrainBytes is how much is read of an answer's body, so that its
	// connection can be used again. The body says nothing: it is a picture.
	maxDrainBytes = 64 << 10
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
// not change records nor what they hold, and keeps none of the slice after it
// has returned; strings it may keep. A Sender that goes on working after Send
// has returned uses ctx for its values only.
type Sender interface {
	Send(ctx context.Context, records []Record) error
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
// the same parameters as a form. Failures of the network and the statuses 408,
// 425, 429 and 5xx are tried again, as [WithMaxAttempts] and [WithBackoff] say;
// nothing else is. A record that the server refuses does not keep the next one
// from being sent, while one that could not be delivered does.
//
// Mind what a 2xx is worth: Kissmetrics answers 200 to whatever it is sent.
// That is why Send checks every record first, and sends none if one is invalid.
//
// It is safe for concurrent use, and need not be closed.
type HTTPSender struct {
	doer           Doer
	apiKey         *string // behind a pointer, where no %+v of a sender prints it
	base           *url.URL
	timeout        time.Duration
	maxAttempts    int
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
	own            *http.Transport // the Doer, where none was given
	header         http.Header     // of every GET by own, which changes none
}

// NewHTTPSender returns a sender for pipelines that have no [Client]. It takes
// the options that are about HTTP: WithAPIKey (required), WithBaseURL,
// WithDoer, WithTimeout, WithMaxAttempts, WithBackoff and WithLogger.
func NewHTTPSender(options ...Option) (*HTTPSender, error) {
	c, err := configure(options, forHTTP)
	if err != nil {
		return nil, err
	}
	return newHTTPSender(c), nil
}

func newHTTPSender(c config) *HTTPSender {
	var own *http.Transport
	doer := c.doer
	if doer == nil {
		own = newTransport()
		doer = DoerFunc(own.RoundTrip) // neither redirects nor cookies
	}
	if client, ok := doer.(*http.Client); ok {
		still := *client
		still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		doer = &still
	}
	return &HTTPSender{
		doer:           doer,
		header:         http.Header{"User-Agent": {userAgent}},
		own:            own,
		apiKey:         &c.apiKey,
		base:           c.base,
		timeout:        c.timeout,
		maxAttempts:    c.maxAttempts,
		initialBackoff: c.initialBackoff,
		maxBackoff:     c.maxBackoff,
		logger:         c.logger,
	}
}

// newTransport returns a transport that shares nothing with others of the
// process.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConns:        maxWorkers,
		MaxIdleConnsPerHost: maxWorkers,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		DisableCompression:  true, // a picture of 43 bytes
	}
}

// Send delivers the records. The error is that of the records' validation, and
// then nothing was sent, or a [*DeliveryError] that says which were delivered.
func (s *HTTPSender) Send(ctx context.Context, records []Record) error {
	if err := validate(records); err != nil {
		return err
	}
	if ctx == nil {
		ctx = context.Background()
	}
	return s.send(ctx, records)
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
		case failure.Kind == FailureRefused:
			failed.Refused = append(failed.Refused, r)
		default: // those behind it would only meet the same
			failed.Undelivered = append(failed.Undelivered, records[i:]...)
			return failed
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// CloseIdleConnections closes the connections that are kept alive for requests
// to come. It has no effect where [WithDoer] was given.
func (s *HTTPSender) CloseIdleConnections() {
	if s.own != nil {
		s.own.CloseIdleConnections()
	}
}

// deliver sends one record until it is delivered, refused, or given up.
func (s *HTTPSender) deliver(ctx context.Context, r Record) *DeliveryError {
	query := r.query(*s.apiKey)
	var schedule *retry.Schedule // made when there is something to wait for
	if err := ctx.Err(); err != nil {
		return &DeliveryError{Kind: FailureCanceled, Err: err, reason: err.Error()}
	}
	for attempt := 1; ; attempt++ {
		status, retryAfter, err := s.attempt(ctx, r.Kind.Path(), query)
		verdict, reason := classify(status, err)
		if verdict == delivered {
			return nil
		}
		failure := &DeliveryError{Attempts: attempt, StatusCode: status, RetryAfter: retryAfter, Err: err, reason: reason}
		var wait time.Duration
		switch {
		case err != nil && ctx.Err() != nil:
			failure.Kind, failure.Err, failure.reason = FailureCanceled, ctx.Err(), ctx.Err().Error()
		case verdict == refuse:
			failure.Kind = FailureRefused
		case attempt >= s.maxAttempts:
			failure.Kind = FailureUnavailable
		default:
			if schedule == nil {
				schedule = retry.NewSchedule(s.initialBackoff, s.maxBackoff)
			}
			wait = schedule.Next(retryAfter, maxRetryAfter)
		}
		s.logger.DebugContext(ctx, "kissmetrics: an attempt failed",
			"path", r.Kind.Path(), "attempt", attempt, "reason", reason, "retry_in", wait)
		if failure.Kind != 0 {
			return failure
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			failure.Kind, failure.Err = FailureCanceled, ctx.Err()
			failure.reason = ctx.Err().Error() + " while waiting to try again after: " + reason
			return failure
		}
	}
}

// attempt makes one request. It returns the status of the answer and what it
// asks to wait, or why there was none, in an error that quotes nothing.
func (s *HTTPSender) attempt(ctx context.Context, path, query string) (status int, retryAfter time.Duration, err error) {
	defer func() {
		if recover() != nil { // the Doer's panic, or that of the body or error it returned
			status, retryAfter, err = 0, 0, errDoerPanicked
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	response, err := s.doer.Do(s.request(ctx, path, query))
	if response != nil && response.Body != nil {
		defer func() { _ = response.Body.Close() }()
	}
	switch {
	case err != nil:
		return 0, 0, &cause{err, networkReason(err)}
	case response == nil:
		return 0, 0, errNoResponse
	}
	// The status is all there is to know, so a body that fails, or takes longer
	// than the attempt may, is no failure. What follows 101 is a connection,
	// whose reads no context ends.
	if response.Body != nil && response.Body != http.NoBody && response.StatusCode >= 200 {
		_, _ = io.CopyN(io.Discard, response.Body, maxDrainBytes)
	}
	if response.StatusCode >= 300 && response.Header.Get("Retry-After") != "" {
		retryAfter = retry.After(response.Header, time.Now())
	}
	return response.StatusCode, retryAfter, nil
}

// request returns the request for a query. It is put together by hand, because
// net/http would parse the URL of every one again.
func (s *HTTPSender) request(ctx context.Context, path, query string) *http.Request {
	target := *s.base
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	if target.RawPath != "" {
		target.RawPath = strings.TrimSuffix(target.RawPath, "/") + path
	}
	request := (&http.Request{
		Method:     http.MethodGet,
		URL:        &target,
		Host:       target.Host,
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     s.header,
	}).WithContext(ctx)
	if s.own == nil || len(query) > maxQueryBytes {
		request.Header = s.header.Clone()
	}
	if len(query) <= maxQueryBytes {
		target.RawQuery = query
		return request
	}
	request.Method = http.MethodPost
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.ContentLength = int64(len(query))
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(query)), nil }
	request.Body, _ = request.GetBody()
	return request
}

const userAgent = "kissmetrics-go/" + Version

var (
	errDoerPanicked = errors.New("the Doer panicked")
	errNoResponse   = errors.New("the Doer returned neither a response nor an error")
)

// cause is the error of a Doer, found by errors.Is and errors.As as ever, but
// with a text that quotes nothing of the request or the answer.
type cause struct {
	err    error
	reason string
}

func (c *cause) Error() string        { return c.reason }
func (c *cause) Is(target error) bool { return errors.Is(c.err, target) }

// As passes over every *url.Error, which holds the query in its URL.
func (c *cause) As(target any) bool {
	found := reflect.New(reflect.TypeOf(target).Elem())
	for err := c.err; errors.As(err, found.Interface()); {
		withURL, ok := reflect.TypeAssert[*url.Error](found.Elem())
		if !ok {
			reflect.ValueOf(target).Elem().Set(found.Elem())
			return true
		}
		err = withURL.Err
	}
	return false
}

// verdict says what follows from an attempt.
type verdict int

const (
	delivered verdict = iota
	tryAgain
	refuse // for good
)

// classify says what follows from the status or error of an attempt, and why, in
// words that hold nothing of the request, nor of what a hostile server says.
func classify(status int, err error) (verdict, string) {
	if err != nil {
		return tryAgain, err.Error()
	}
	if status >= 200 && status <= 299 {
		return delivered, ""
	}
	reason := strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
	switch {
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly,
		status == http.StatusTooManyRequests, status >= 500 && status <= 599:
		return tryAgain, reason
	case status >= 300 && status <= 399:
		return refuse, reason + " (redirects are not followed)"
	}
	return refuse, reason
}

// networkReason names the kind of a failure of the network. The text of the
// error itself may quote the request.
func networkReason(err error) string {
	is := func(target error) bool { return errors.Is(err, target) }
	dns, isDNS := errors.AsType[*net.DNSError](err)
	netError, isNetError := errors.AsType[net.Error](err)
	switch {
	case isDNS && dns.IsNotFound:
		return "no such host"
	case isDNS:
		return "the host name could not be resolved"
	case isTLS(err), is(http.ErrSchemeMismatch):
		return "TLS failed"
	case isNetError && netError.Timeout(), is(context.DeadlineExceeded):
		return "timeout"
	case is(context.Canceled):
		return "canceled"
	case is(syscall.ECONNREFUSED):
		return "connection refused"
	case is(syscall.ECONNRESET), is(syscall.EPIPE):
		return "connection reset"
	case is(io.EOF), is(io.ErrUnexpectedEOF):
		return "connection closed before the answer"
	}
	return "request failed"
}

func isTLS(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, authority := errors.AsType[x509.UnknownAuthorityError](err)
	_, hostname := errors.AsType[x509.HostnameError](err)
	return verification || record || alert || authority || hostname
}
