package outbox

import (
	"context"
	"database/sql"
	"time"
)

// WithMaxMessage sets how many bytes a message may have.
func WithMaxMessage(bytes int) Option { return func(c *config) { c.maxMessage = bytes } }

// WithRoom sets how many bytes a new file has from the beginning.
func WithRoom(bytes int) Option { return func(c *config) { c.room = bytes } }

// WithBusy sets how long to wait for others that keep the file locked.
func WithBusy(wait time.Duration) Option { return func(c *config) { c.busy = wait } }

// WithLongLog sets how many bytes of the log are told about.
func WithLongLog(bytes int64) Option { return func(c *config) { c.longLog = bytes } }

// WithWatchEvery sets how often the outbox looks after its file.
func WithWatchEvery(interval time.Duration) Option {
	return func(c *config) { c.watchEvery = interval }
}

// CheckTx has the outbox look at a transaction, as SendTx does before it writes.
func (o *Outbox) CheckTx(ctx context.Context, tx *sql.Tx) error { return o.checkTx(ctx, tx) }

// Watched reports whether the outbox has seen that its log is short.
func (o *Outbox) Watched() bool { return !o.logIsLong.Load() }

// IsMounted reports whether something is mounted at the path itself.
func IsMounted(path string) bool { return isMounted(path) }

// Unmount has the outbox think that its mount is another than before.
func (o *Outbox) Unmount() { o.mount++ }

// Sealed returns a message that waits and is whole, whatever it says.
func Sealed(records uint32, lines string) []byte {
	return sealed(markWaiting, 1_700_000_000, records, lines)
}

// WithFree sets how many bytes are free on the disk.
func WithFree(bytes int64) Option {
	return func(c *config) { c.freeIn = func(string) int64 { return bytes } }
}
