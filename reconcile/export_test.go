package reconcile

import "os"

// BreakFile makes the next write fail.
func (a *Archive) BreakFile() { _ = a.file.Close() }

// WithFsync puts a function in place of the sync of a file.
func WithFsync(f func(*os.File) error) ArchiveOption { return func(c *archiveConfig) { c.fsync = f } }
