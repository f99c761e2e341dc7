package riverbox

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// Queue is the name of the River queue that records wait in, unless
// [WithQueueName] gives another.
const Queue = "kissmetrics"

// maxWorkers is River's limit of a queue's workers.
const maxWorkers = 10_000

// An Option configures [New], which reports every option that is wrong. If an
// option is given twice, the later one counts.
type Option func(*config)

// config holds the values of the options.
type config struct {
	queue          string
	schema         string
	client         *river.Client[pgx.Tx]
	pollOnly       bool
	workers        int
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
}

// defaults are the values of options that are not given.
func defaults() config {
	return config{
		queue:          Queue,
		workers:        256,
		initialBackoff: time.Second,
		maxBackoff:     5 * time.Minute,
		logger:         slog.New(slog.DiscardHandler),
	}
}

// WithQueueName stores records in another River queue. A program that sends to
// several products of Kissmetrics needs a Sender for each, with a queue of its own
// that is delivered with the product's API key. Equal records in different queues
// are no repeats.
//
// A name has at most 64 characters, by River's rule: small letters and digits, and
// single underscores or hyphens between them.
func WithQueueName(name string) Option { return func(c *config) { c.queue = name } }

// WithSchema names the schema that River's tables are in. By default it is the
// first of the connection's search path that has them.
func WithSchema(schema string) Option { return func(c *config) { c.schema = schema } }

// WithClient makes the program's own River client insert the jobs, with its hooks
// and middleware, and takes the client's Schema. The client need not be started.
func WithClient(client *river.Client[pgx.Tx]) Option { return func(c *config) { c.client = client } }

// WithPollOnly makes [Sender.Run] poll for new records, once a second, instead of
// having PostgreSQL announce them, which PgBouncer does not pass on in transaction
// mode; see the package's section on PgBouncer.
func WithPollOnly() Option { return func(c *config) { c.pollOnly = true } }

// WithWorkers sets how many messages a [Sender.Run], or a [Worker], may deliver at
// once: 256 by default. It has fewer under way as long as more would not be faster.
func WithWorkers(workers int) Option { return func(c *config) { c.workers = workers } }

// WithBackoff sets when a message that could not be delivered is tried again: for
// the n-th time after a wait that is drawn evenly from zero to initial·2ⁿ⁻¹, but
// at most to limit. The default is 1 second and 5 minutes. If the answer asked for
// a longer wait (Retry-After), that wait is used, up to 5 minutes.
func WithBackoff(initial, limit time.Duration) Option {
	return func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit }
}

// WithLogger sets the logger of [Sender.Run]. No identity and no value of a
// property is ever logged. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = safelog.Logger(logger) }
}

// configure applies options to the defaults and reports everything that is wrong.
func configure(options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	if !isQueueName(c.queue) {
		wrong.Add("WithQueueName: %.70q is not the name of a queue", c.queue)
	}
	if c.client != nil && c.schema == "" {
		c.schema = c.client.Schema()
	}
	if c.client != nil && c.schema != c.client.Schema() {
		wrong.Add("WithSchema: %.70q is not the schema of the client, %.70q", c.schema, c.client.Schema())
	}
	if c.workers < 1 || c.workers > maxWorkers {
		wrong.Add("WithWorkers: %d is not a number from 1 to %d", c.workers, maxWorkers)
	}
	wrong.Backoff(c.initialBackoff, c.maxBackoff)
	wrong.Logger(c.logger)
	return c, wrong.Err()
}

// isQueueName reports whether River takes the name. River itself says so only when
// a job is inserted.
func isQueueName(name string) bool {
	separated := true
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			separated = false
		case (c == '_' || c == '-') && !separated:
			separated = true
		default:
			return false
		}
	}
	return !separated && len(name) <= 64
}
