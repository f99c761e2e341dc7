// Package lines reads lines of bounded length.
package lines

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// MaxBytes bounds a line, without its end.
const MaxBytes = 16 << 20

// ErrTooLong is the error of a line of more than [MaxBytes]. The lines behind it
// can be read.
var ErrTooLong = errors.New("a line has more than 16 MiB")

// A Reader reads lines. It keeps no more than one of them in memory.
type Reader struct {
	r      *bufio.Reader
	buffer []byte
	number int
	ended  bool
}

// NewReader returns a Reader of r. Nothing is read before it is asked for, beyond a
// buffer.
func NewReader(r io.Reader) *Reader { return &Reader{r: bufio.NewReaderSize(guarded{r}, 64<<10)} }

var errReaderPanicked = errors.New("the reader panicked")

// guarded is a reader whose panics are errors, also those of its errors, and that of
// package bufio at a number of bytes that cannot be.
type guarded struct{ r io.Reader }

func (g guarded) Read(p []byte) (n int, err error) {
	defer func() {
		if recover() != nil || n < 0 || n > len(p) {
			n, err = 0, errReaderPanicked
		}
	}()
	if n, err = g.r.Read(p); err != nil {
		nilness.Examine(err)
	}
	return n, err
}

// Number returns the number of the line that was read last, counted from 1.
func (l *Reader) Number() int { return l.number }

// Ended reports whether there is nothing more to read.
func (l *Reader) Ended() bool { return l.ended }

// Next returns the next line, trimmed of white space, and the first one without a
// byte order mark. It is valid until Next is called again. Behind the last line it
// may return an empty one. Any error but [ErrTooLong] is that of the reader, and
// the last.
func (l *Reader) Next() ([]byte, error) {
	l.number++
	l.buffer = l.buffer[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(l.buffer)+len(part) > MaxBytes+len("\r\n"); !tooLong {
			l.buffer = append(l.buffer, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF):
			l.ended = true
		case err != nil:
			l.ended = true
			return nil, err
		}
		break
	}
	if tooLong {
		return nil, ErrTooLong
	}
	line := l.buffer
	if l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return bytes.TrimSpace(line), nil
}
