package reconcile

import (
	"math"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/complaint"
)

// An Option configures [New].
type Option func(*config)

type config struct {
	dir      string
	memory   int64
	maxShift time.Duration
	onLine   func(side Side, err error)
}

func defaults() config {
	return config{memory: 256 << 20, maxShift: 24 * time.Hour, onLine: func(Side, error) {}}
}

// WithTempDir sets the directory of the temporary files. The default is
// [os.TempDir], which is often held in memory: for large inputs, name another.
func WithTempDir(dir string) Option { return func(c *config) { c.dir = dir } }

// WithMemory bounds the memory that a comparison uses, in bytes: 256 MiB by
// default, and at least 1 MiB. It is kept roughly: the longest line, what the two
// sequences use themselves, and garbage that is not yet collected come on top.
func WithMemory(bytes int64) Option { return func(c *config) { c.memory = bytes } }

// WithMaxShift sets by how much the time of a record may differ from the time of
// the row that is taken for it: 24 hours by default. With zero, a record whose time
// was moved is missing.
func WithMaxShift(shift time.Duration) Option { return func(c *config) { c.maxShift = shift } }

// WithOnUnreadable sets a function that is told of each line that cannot be read.
// It is called by two goroutines at once, and must not block for long.
func WithOnUnreadable(f func(side Side, err error)) Option {
	return func(c *config) { c.onLine = f }
}

// configure applies options to the defaults and reports all that is wrong.
func configure(options []Option) (config, error) {
	c := defaults()
	wrong := complaint.New(kissmetrics.ErrInvalidOption, "reconcile")
	complaint.Apply(options, wrong, func(o Option) { o(&c) })
	if c.memory < 1<<20 {
		wrong.Add("WithMemory: %d bytes are less than 1 MiB", c.memory)
	}
	if c.maxShift < 0 {
		wrong.Add("WithMaxShift: %v is negative", c.maxShift)
	}
	if c.onLine == nil {
		wrong.Add("WithOnUnreadable: the function is nil")
	}
	return c, wrong.Err()
}

// fanOut returns into how many parts one pass divides its records, and how many
// bytes of a part it gathers before it writes them. Two passes and two sides are
// written at a time, so that the buffers take an eighth of the memory. (Of 1 MiB,
// it is a half.)
func (c *config) fanOut() (parts, block int) {
	parts = 512
	for parts > 16 && c.memory/32/int64(parts) < 8<<10 {
		parts /= 2
	}
	return parts, int(min(max(c.memory/32/int64(parts), 4<<10), 64<<10))
}

// room returns how many bytes of records are compared at a time. Their places are
// numbers of 32 bits.
func (c *config) room() int64 { return min(c.memory/4, math.MaxUint32) }
