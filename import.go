package kissmetrics

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"syscall"

	"github.com/kissmetrics-go/kissmetrics/internal/neterr"
)

// maxLineBytes bounds a line of an import, without its end.
const maxLineBytes = 16 << 20

// ImportWriter is a [Sender] that writes records as lines of Kissmetrics' bulk
// import (see [Record.MarshalJSON]), to be uploaded, or to be kept and read
// back with [ReadImport]. Send returns nil when the writer has taken the lines.
//
// Send checks all records of a message first, and refuses with a
// [*ValidationError] what [Record.Validate] does, a record without a Time (of an
// alias too: the import needs one), and a line of more than 16 MiB. Then it
// writes all lines of the message in one Write, so that a writer that counts
// bytes, such as one that begins a new file, never parts them.
//
// If that Write fails, the error is a [*DeliveryError] with all records of the
// message in Undelivered. Where nothing was written, calling again is safe, and
// may succeed. Where a part was, the last line may be torn, so that one behind it
// would be lost too: from then on nothing more is written, and every Send
// returns that error. The caller cuts the output off after what was accepted
// before, and goes on with a new ImportWriter.
//
// Nothing is buffered. For fewer and larger writes, give it a [*bufio.Writer]:
// Flush hands on what that holds. It is safe for concurrent use, and need not
// be closed; the writer is the caller's, and must not be used by others
// meanwhile. A Write that hangs cannot be cancelled, but those that wait for
// their turn behind it can.
//
// See https://support.kissmetrics.io/docs/json-files-as-an-external-data-source-1.
type ImportWriter struct {
	w    io.Writer
	turn chan struct{} // holds a token while nobody writes
	err  error         // why nothing more is written; for who has the turn
}

// NewImportWriter returns an ImportWriter that writes to w.
func NewImportWriter(w io.Writer) *ImportWriter {
	i := &ImportWriter{w: w, turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	return i
}

// Send writes the records, all of them or, if it returns an error, none that
// counts.
func (w *ImportWriter) Send(ctx context.Context, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	lines, err := importLines(records)
	if err != nil {
		return err
	}
	if err := w.use(ctx, func() (int, error) { return w.w.Write(lines) }, len(lines)); err != nil {
		return importFailure(err, records)
	}
	return nil
}

// Flush calls the Flush method of the writer, if it has one, as a
// [*bufio.Writer] does. An error is a [*DeliveryError] without records, since
// it is not known which were in what could not be written; from then on every
// Send returns it.
func (w *ImportWriter) Flush(ctx context.Context) error {
	flusher, ok := w.w.(interface{ Flush() error })
	if !ok {
		return nil
	}
	if err := w.use(ctx, func() (int, error) { return 1, flusher.Flush() }, 1); err != nil {
		return importFailure(err, nil)
	}
	return nil
}

// use calls a function of the writer that is to handle want bytes, when it is
// its turn.
func (w *ImportWriter) use(ctx context.Context, f func() (int, error), want int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { w.turn <- struct{}{} }()
	if w.err != nil {
		return w.err
	}
	n, err := guardedWrite(f)
	if err == nil && n != want {
		err = io.ErrShortWrite
	}
	if err != nil && n != 0 {
		w.err = err
	}
	return err
}

var errWriterPanicked = errors.New("the writer panicked")

// guardedWrite turns a panic into an error after which nothing is known.
func guardedWrite(f func() (int, error)) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = -1, errWriterPanicked
		}
	}()
	return f()
}

// importLines returns the lines of a message.
func importLines(records []Record) ([]byte, error) {
	var p problems
	var lines []byte
	for i := range records {
		r := &records[i]
		before := len(p)
		r.validate(&p)
		if r.Kind == KindAlias && r.Time.IsZero() {
			p.add("timestamp", "is missing, which an import needs of an alias too")
		}
		if len(p) > before {
			continue
		}
		start := len(lines)
		lines = r.appendLine(lines)
		if len(lines)-start > maxLineBytes {
			p.add("message", longLine)
		}
		lines = append(lines, '\n')
	}
	return lines, p.err()
}

const longLine = "a line has more than 16 MiB"

// importFailure returns the error of records that could not be written.
func importFailure(err error, records []Record) error {
	failure := &DeliveryError{Kind: FailureUnavailable, Attempts: 1, Undelivered: append([]Record(nil), records...)}
	errno, isErrno := errors.AsType[syscall.Errno](err)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		failure.Kind, failure.Attempts, failure.Reason = FailureCanceled, 0, err.Error()
	case isErrno:
		failure.Reason = "the writer failed: " + errno.Error()
	case errors.Is(err, io.ErrShortWrite), errors.Is(err, errWriterPanicked):
		failure.Reason = err.Error()
	default: // its text is not known to be safe
		failure.Reason = "the writer failed"
	}
	failure.Err = neterr.Wrap(err, failure.Reason)
	return failure
}

// ReadImport returns the records that the lines of an import stand for, as
// [ImportWriter] writes them or as Kissmetrics' own data export does, in whose
// files letters beyond ASCII may be written as octal escapes of their bytes
// (\303\251), which is no JSON.
//
// A line that is wrong is an error of type [*LineError], and the lines behind it
// go on; [Record.UnmarshalJSON] says what is wrong. A line of more than 16 MiB is
// such an error too, and is not kept in memory. Blank lines count but are
// skipped; a line may end in CR LF, the last one in nothing, and the first may
// begin with a byte order mark. If r fails, the last error is a LineError that
// wraps the error of r, with the line where it failed, and of that line there is
// no record.
//
// Nothing is read before it is asked for, beyond a buffer, and no record shares
// memory with another. The sequence is for one goroutine, and is read once: a
// loop after a break goes on behind the line where that one stopped.
//
// See https://support.kissmetrics.io/docs/data-export.
func ReadImport(r io.Reader) iter.Seq2[Record, error] {
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	return func(yield func(Record, error) bool) {
		for !lines.ended {
			line, err := lines.next()
			if err == nil && len(line) == 0 {
				continue
			}
			var record Record
			if err == nil {
				err = record.UnmarshalJSON(unescapeOctal(line))
			}
			if err != nil {
				err = &LineError{Line: lines.number, Err: err}
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

// lineReader reads lines of bounded length.
type lineReader struct {
	r      *bufio.Reader
	buffer []byte
	number int  // of the line read last
	ended  bool // there is none behind it
}

// next returns the next line, trimmed of white space, until next is called
// again. Behind the last one, it may be an empty one that is none.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	l.buffer = l.buffer[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		if tooLong = tooLong || len(l.buffer)+len(part) > maxLineBytes+len("\r\n"); !tooLong {
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
		return nil, &ValidationError{Field: "message", Reason: longLine}
	}
	line := l.buffer
	if l.number == 1 {
		line = bytes.TrimPrefix(line, []byte("\ufeff"))
	}
	return bytes.TrimSpace(line), nil
}

// unescapeOctal replaces the octal escapes of bytes beyond ASCII. No JSON has a
// digit behind a backslash, so nothing else can be meant.
func unescapeOctal(line []byte) []byte {
	at := bytes.IndexByte(line, '\\')
	if at < 0 {
		return line
	}
	octal := func(c byte) bool { return c >= '0' && c <= '7' }
	kept := line[:at] // never longer than what was read of line
	for i := at; i < len(line); i++ {
		switch rest := line[i:]; {
		case rest[0] != '\\' || len(rest) < 2:
			kept = append(kept, rest[0])
		case len(rest) >= 4 && (rest[1] == '2' || rest[1] == '3') && octal(rest[2]) && octal(rest[3]):
			kept = append(kept, (rest[1]-'0')<<6|(rest[2]-'0')<<3|(rest[3]-'0'))
			i += 3
		default: // an escape of JSON, whose second byte may be a backslash too
			kept = append(kept, rest[0], rest[1])
			i++
		}
	}
	return kept
}
