package outbox

import (
	"os"
	"time"
)

const (
	// watchEvery is how often the outbox looks after its file.
	watchEvery = time.Second
	// longLog is how many bytes of the log are more than a reader needs to hold it
	// for a moment.
	longLog = 64 << 20
)

// watch notices what nobody else does: that a file was taken away, and that the
// log grows. It is the writer's.
func (o *Outbox) watch() {
	if !o.broken.Load() && (o.file.at.isAway() || o.lock.at.isAway()) {
		o.breaks(errAway)
	}
	if o.broken.Load() {
		_ = o.repair(o.ctx) // the next that needs the file has the error
		return
	}
	o.watchLog()
}

// watchLog says once that the log has become long, until it is short again.
func (o *Outbox) watchLog() {
	size := o.logBytes()
	switch {
	case size > o.config.longLog && !o.logIsLong.Load():
		o.logIsLong.Store(true)
		o.config.logger.Warn("outbox: the write-ahead log grows, for something reads the file without an end; it is emptied once that has ended", "bytes", size)
	case size <= o.config.longLog/2:
		o.logIsLong.Store(false)
	}
}

// logBytes returns how long the log is.
func (o *Outbox) logBytes() int64 {
	info, err := os.Stat(o.path + "-wal")
	if err != nil {
		return 0
	}
	return info.Size()
}
