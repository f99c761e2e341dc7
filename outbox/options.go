package outbox

import (
	"log/slog"
	"math"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// An Option configures [Open].
type Option func(*config)

type config struct {
	maxRecords     int64
	maxBytes       int64
	maxMessage     int           // bytes
	room           int           // bytes that a new file has from the beginning
	busy           time.Duration // how long to wait for others that keep the file locked
	workers        int
	initialBackoff time.Duration
	maxBackoff     time.Duration
	logger         *slog.Logger
	shared         bool
	longLog        int64         // bytes
	watchEvery     time.Duration // how often the outbox looks after its file
	freeIn         func(dir string) int64
}

func defaults() config {
	return config{
		maxRecords:     math.MaxInt64,
		maxBytes:       math.MaxInt64,
		maxMessage:     512 << 20, // SQLite can store a little less than twice as much
		room:           1 << 20,   // some thousands of messages
		busy:           10 * time.Second,
		workers:        168,
		initialBackoff: 500 * time.Millisecond,
		maxBackoff:     30 * time.Second,
		logger:         slog.New(slog.DiscardHandler),
		longLog:        longLog,
		watchEvery:     watchEvery,
		freeIn:         freeIn,
	}
}

// WithMaxRecords bounds how many records wait for delivery: what would exceed it
// is refused with [ErrFull]. What is parked does not count. By default the disk
// is the bound.
func WithMaxRecords(records int64) Option { return func(c *config) { c.maxRecords = records } }

// WithMaxBytes bounds how many bytes the waiting messages take, by their lines
// and 24 more for each message: what would exceed it is refused with [ErrFull].
// The file is somewhat larger. By default the disk is the bound.
func WithMaxBytes(bytes int64) Option { return func(c *config) { c.maxBytes = bytes } }

// WithWorkers sets how many messages Run has under way at most: 168 by default, and
// not more than 1,024. How many there are follows from the answers of the server;
// see [kissmetrics.Queue].
func WithWorkers(workers int) Option { return func(c *config) { c.workers = workers } }

// WithBackoff sets the waits between attempts while deliveries fail, 500
// milliseconds and 30 seconds by default; see [kissmetrics.WithBackoff].
func WithBackoff(initial, limit time.Duration) Option {
	return func(c *config) { c.initialBackoff, c.maxBackoff = initial, limit }
}

// WithLogger gives a logger for what goes wrong. It never sees the value of a
// property, nor an identity. By default nothing is logged.
func WithLogger(logger *slog.Logger) Option {
	return func(c *config) { c.logger = safelog.Logger(logger) }
}

// WithSharedFile says that the file is the application's: it holds tables of its
// own, and it has made those of the outbox with [Migrate]. SendTx needs it.
//
// The application must open the file through the driver modernc.org/sqlite, for two
// SQLite libraries in one process destroy the file. [Migrate] and [Outbox.SendTx]
// refuse the handles of any other driver. Open cannot see which library has the file open: if the process has more
// than one, Open refuses a file that is open already, so open the outbox first.
// See [ErrLibrary].
//
// A shared file is never set aside when it is damaged: Open, Send and Run report
// that, and the application decides what to do.
func WithSharedFile() Option { return func(c *config) { c.shared = true } }

// configure applies options to the defaults and reports all that is wrong.
func configure(options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "outbox")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	if c.maxRecords < 1 {
		wrong.Add("WithMaxRecords: %d records leave no room", c.maxRecords)
	}
	if c.maxBytes < 1 {
		wrong.Add("WithMaxBytes: %d bytes leave no room", c.maxBytes)
	}
	if c.workers < 1 || c.workers > 1024 {
		wrong.Add("WithWorkers: %d is not a number from 1 to 1024", c.workers)
	}
	wrong.Backoff(c.initialBackoff, c.maxBackoff)
	wrong.Logger(c.logger)
	return c, wrong.Err()
}
