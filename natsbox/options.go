package natsbox

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// maxWorkers bounds the deliveries under way in one relay.
const maxWorkers = 1024

// An Option configures [New] or [CreateStreams], which report every option that is
// wrong. If an option is given twice, the later one counts.
type Option func(*config)

// config holds the values of the options.
type config struct {
	stream         string
	replicas       int
	system         *nats.Conn
	syncUnchecked  bool
	timeout        time.Duration
	attemptTimeout time.Duration // of one attempt at storing a message
	workers        int
	ackWait        time.Duration
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
}

// defaults are the values of options that are not given.
func defaults() config {
	return config{
		stream:         "KISSMETRICS",
		replicas:       3,
		timeout:        30 * time.Second,
		attemptTimeout: time.Second, // long for a healthy server, and short for one that has died
		workers:        256,
		ackWait:        30 * time.Second,
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     5 * time.Minute,
		logger:         slog.New(slog.DiscardHandler),
	}
}

// subject is where messages of so many records are stored.
func (c *config) subject(records int) string { return c.stream + ".records." + strconv.Itoa(records) }

// subjects is what the stream takes.
func (c *config) subjects() string { return c.stream + ".records.*" }

// parkedStream is the stream of parked messages.
func (c *config) parkedStream() string { return c.stream + "-PARKED" }

// parkedSubject is where parked messages are stored.
func (c *config) parkedSubject() string { return c.stream + ".parked" }

// WithStream names the stream, KISSMETRICS by default. It takes the subjects
// "<name>.records.*". Parked messages go to the stream "<name>-PARKED", subject
// "<name>.parked". Several streams can share a heavy load; see the example of
// partitions.
func WithStream(name string) Option { return func(c *config) { c.stream = name } }

// WithReplicas allows a stream of one replica instead of 3, or demands 5. With one
// replica, the messages are lost with the disk of its machine, and are out of
// reach while the machine is down.
func WithReplicas(replicas int) Option { return func(c *config) { c.replicas = replicas } }

// WithSystemConn gives a connection to the servers' system account. New uses it to
// ask every server that keeps the stream whether it always syncs. It is used
// during New only, and the caller closes it.
func WithSystemConn(system *nats.Conn) Option { return func(c *config) { c.system = system } }

// WithSyncUnchecked makes New not check whether the servers always sync. Only a
// connection to the system account can see that.
func WithSyncUnchecked() Option { return func(c *config) { c.syncUnchecked = true } }

// WithTimeout bounds how long Send goes on trying: 30 seconds by default, which is
// longer than an election takes. The caller's context can end it earlier.
func WithTimeout(timeout time.Duration) Option { return func(c *config) { c.timeout = timeout } }

// WithWorkers sets how many messages a Run may deliver at once: 256 by default, and
// at most 1024. Run has fewer under way as long as more would not be faster.
func WithWorkers(workers int) Option { return func(c *config) { c.workers = workers } }

// WithAckWait sets how long the server waits for a sign of life from a relay before
// it hands the relay's messages to another: 30 seconds by default, at least 100
// milliseconds. It must be the same for all relays of a stream.
func WithAckWait(wait time.Duration) Option { return func(c *config) { c.ackWait = wait } }

// WithBackoff sets when a message that could not be delivered is tried again: for
// the n-th time after a wait that is drawn evenly from zero to initial·2ⁿ⁻¹, but
// at most to limit. The default is 500 milliseconds and 5 minutes. If the answer
// asked for a longer wait (Retry-After), that wait is used, up to 5 minutes.
func WithBackoff(initial, limit time.Duration) Option {
	return func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit }
}

// WithLogger sets the logger. No identity and no value of a property is ever
// logged. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = safelog.Logger(logger) }
}

// configure applies options to the defaults and reports everything that is wrong.
func configure(options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	if c.stream == "" || len(c.stream) > 200 || strings.ContainsFunc(c.stream, notInNames) {
		wrong.Add("WithStream: the name is not made of letters, digits, hyphens and underscores, 200 at most")
	}
	if c.replicas != 1 && c.replicas != 3 && c.replicas != 5 {
		wrong.Add("WithReplicas: %d is none of 1, 3 and 5", c.replicas)
	}
	if c.system != nil && c.syncUnchecked {
		wrong.Add("WithSyncUnchecked contradicts WithSystemConn")
	}
	if c.timeout <= 0 {
		wrong.Add("WithTimeout: %v is not positive", c.timeout)
	}
	if c.workers < 1 || c.workers > maxWorkers {
		wrong.Add("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	if c.ackWait < 100*time.Millisecond {
		wrong.Add("WithAckWait: %v is less than 100ms", c.ackWait)
	}
	wrong.Backoff(c.initialBackoff, c.maxBackoff)
	wrong.Logger(c.logger)
	return c, wrong.Err()
}

// notInNames reports whether a character may not be in the name of a stream that
// is also part of a subject.
func notInNames(r rune) bool {
	return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
}
