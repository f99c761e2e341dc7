package natsbox

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kissmetrics-go/kissmetrics"
)

// maxWorkers bounds the deliveries under way in one relay.
const maxWorkers = 1024

// An Option configures [New] or [CreateStreams], which report what is wrong with
// it. Where an option is given twice, the later one counts.
type Option func(*config)

// config is what the options say.
type config struct {
	stream         string
	replicas       int
	system         *nats.Conn
	syncUnchecked  bool
	timeout        time.Duration
	workers        int
	ackWait        time.Duration
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
}

// defaults is what holds where no option says otherwise.
func defaults() config {
	return config{
		stream:         "KISSMETRICS",
		replicas:       3,
		timeout:        30 * time.Second,
		workers:        8,
		ackWait:        30 * time.Second,
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     5 * time.Minute,
		logger:         slog.New(slog.DiscardHandler),
	}
}

// subject is where messages are stored.
func (c *config) subject() string { return c.stream + ".records" }

// deadStream is the stream of what can never be delivered.
func (c *config) deadStream() string { return c.stream + "-DEAD" }

// deadSubject is where what can never be delivered is stored.
func (c *config) deadSubject() string { return c.stream + ".dead" }

// WithStream names the stream, KISSMETRICS by default. Its subject is
// "<name>.records"; what can never be delivered goes to the stream "<name>-DEAD",
// subject "<name>.dead". Several streams share the load of many events; see the
// example of partitions.
func WithStream(name string) Option { return func(c *config) { c.stream = name } }

// WithReplicas says that a stream of fewer than 3 replicas will do (or that it
// must have 5). With one, what is stored is lost with the disk of its machine,
// and cannot be had while that is down.
func WithReplicas(replicas int) Option { return func(c *config) { c.replicas = replicas } }

// WithSystemConn gives a connection to the servers' system account, by which New
// asks every server that keeps the stream whether it syncs always. It is used
// during New only, and stays the caller's to close.
func WithSystemConn(system *nats.Conn) Option { return func(c *config) { c.system = system } }

// WithSyncUnchecked says that New shall not check whether the servers sync
// always. No other connection than one to the system account can see it.
func WithSyncUnchecked() Option { return func(c *config) { c.syncUnchecked = true } }

// WithTimeout bounds how long Send goes on trying, 30 seconds by default, which
// is more than an election takes. A context that ends earlier ends it earlier.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithWorkers sets how many messages a Run delivers at once, 8 by default.
func WithWorkers(workers int) Option { return func(c *config) { c.workers = workers } }

// WithAckWait sets after how long without a sign of life from a relay the server
// hands its messages to another, 30 seconds by default and at least 100
// milliseconds. All relays of a stream must have the same.
func WithAckWait(wait time.Duration) Option { return func(c *config) { c.ackWait = wait } }

// WithBackoff sets after how long a message that could not be delivered is tried
// again: the n-th time after a wait that is drawn evenly from zero to
// initial·2ⁿ⁻¹, or to limit where that is less. The default is 500 milliseconds
// and 5 minutes. A server's Retry-After is waited for where it is longer, up to 5
// minutes.
func WithBackoff(initial, limit time.Duration) Option {
	return func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit }
}

// WithLogger gives a logger for what goes on inside. It never sees an identity
// or the value of a property. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option { return func(c *config) { c.logger = logger } }

// configure applies options to the defaults and reports all that is wrong.
func configure(options []Option) (config, error) {
	c := defaults()
	var wrong []error
	invalid := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("%w: %s", kissmetrics.ErrInvalidOption, fmt.Sprintf(format, args...)))
	}
	for _, o := range options {
		if o == nil {
			invalid("an option is nil")
			continue
		}
		o(&c)
	}
	if c.stream == "" || len(c.stream) > 200 || strings.ContainsFunc(c.stream, notInNames) {
		invalid("WithStream: the name is not made of letters, digits, hyphens and underscores, 200 at most")
	}
	if c.replicas != 1 && c.replicas != 3 && c.replicas != 5 {
		invalid("WithReplicas: %d is none of 1, 3 and 5", c.replicas)
	}
	if c.system != nil && c.syncUnchecked {
		invalid("WithSyncUnchecked contradicts WithSystemConn")
	}
	if c.timeout <= 0 {
		invalid("WithTimeout: %v is not positive", c.timeout)
	}
	if c.workers < 1 || c.workers > maxWorkers {
		invalid("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	if c.ackWait < 100*time.Millisecond {
		invalid("WithAckWait: %v is less than 100ms", c.ackWait)
	}
	if c.initialBackoff <= 0 || c.maxBackoff < c.initialBackoff {
		invalid("WithBackoff: %v and %v are not a positive wait and its limit", c.initialBackoff, c.maxBackoff)
	}
	if c.logger == nil {
		invalid("WithLogger: the logger is nil")
	}
	return c, errors.Join(wrong...)
}

// notInNames reports whether a character makes no name of a stream that is fit
// for a subject too.
func notInNames(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
