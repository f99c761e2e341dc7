package bulk

import (
	"context"
	"io"
	"os"

	"github.com/kissmetrics-go/kissmetrics"
)

// ErrTaken is what a bucket of a test returns for a name that is taken.
var ErrTaken = errTaken

// A PutFunc is a bucket.
type PutFunc func(ctx context.Context, object, id string, lines io.Reader) error

func (f PutFunc) put(ctx context.Context, object, id string, size int64, lines io.Reader) error {
	return f(ctx, object, id, io.LimitReader(lines, size))
}

func (PutFunc) check(context.Context, string) (Report, error) { return Report{}, nil }

// WithPut puts a function in place of the bucket.
func WithPut(f PutFunc) Option { return func(c *config) { c.bucket = f } }

// WithPartSize sets the size of a part of an upload.
func WithPartSize(bytes int64) Option { return func(c *config) { c.partSize = bytes } }

// WithSync puts a function in place of the sync of a file.
func WithSync(f func(*os.File) error) Option { return func(c *config) { c.sync = f } }

// OpenPath returns the path of the file to which records are appended.
func OpenPath(dir string) string { return dir + "/" + openName }

// MaxBytes returns how many bytes the lines of records have at most.
func MaxBytes(records []kissmetrics.Record) int { return measured(records).bytes }
