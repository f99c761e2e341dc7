package kissmetrics

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"syscall"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/exportline"
	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
	"github.com/kissmetrics-go/kissmetrics/internal/importline"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/lines"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
	"github.com/kissmetrics-go/kissmetrics/internal/neterr"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// ImportWriter is a [Sender] that writes records as lines of Kissmetrics' bulk
// import (see [Record.MarshalJSON]), to be uploaded, or to be kept and read back
// with [ReadImport]. Send returns nil when the writer has taken the lines.
//
// Send first checks all records of a message. With a [*ValidationError] it refuses
// what [Record.Validate] refuses, a record without a Time (even an alias needs one
// here), and a line of more than 16 MiB. Then it writes all lines of the message in
// one Write, so that a writer that counts bytes, such as one that begins a new
// file, never parts them. A record of properties that has none says nothing, and
// there is no line for it.
//
// If the Write fails, the error is a [*DeliveryError] with all records of the
// message in Undelivered. If nothing was written, calling again is safe. If a part
// was, the last line may be torn, and a line behind it would be lost too: from then
// on nothing more is written, and every Send returns that error. The caller then
// cuts the output off behind what was accepted before, and goes on with a new
// ImportWriter.
//
// Nothing is buffered. For fewer and larger writes, give it a [*bufio.Writer],
// which Flush flushes. An ImportWriter is safe for concurrent use and need not be
// closed. The writer stays the caller's, but nobody else may write to it meanwhile.
// A Write that hangs cannot be cancelled; calls that wait behind it can.
//
// See https://support.kissmetrics.io/docs/json-files-as-an-external-data-source-1.
type ImportWriter struct {
	w    io.Writer
	turn chan struct{} // holds a token while nobody writes
	err  error         // why nothing more is written; only the holder of the turn may touch it
}

// NewImportWriter returns an ImportWriter that writes to w.
func NewImportWriter(w io.Writer) *ImportWriter {
	i := &ImportWriter{w: w, turn: make(chan struct{}, 1)}
	i.turn <- struct{}{}
	return i
}

// Send writes the records of a message: all of them or, if it returns an error,
// none that counts.
func (w *ImportWriter) Send(ctx context.Context, records []Record) error {
	if len(records) == 0 {
		return nil
	}
	lines, err := AppendImport(nil, records)
	if err != nil || len(lines) == 0 {
		return err
	}
	if err := w.use(ctx, func() (int, error) { return w.w.Write(lines) }, len(lines)); err != nil {
		return importFailure(err, records)
	}
	return nil
}

// Flush calls the Flush method of the writer, if it has one, as a [*bufio.Writer]
// does. If that fails, the error is a [*DeliveryError] without records, because it
// is not known which of them were lost, and every Send returns it from then on.
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

// use waits for its turn, and calls a function of the writer that has to handle
// want bytes.
func (w *ImportWriter) use(ctx context.Context, f func() (int, error), want int) error {
	ctx = nilness.Context(ctx)
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

// guardedWrite turns a panic, also one of the error, into an error. How much was written
// is not known then.
func guardedWrite(f func() (int, error)) (n int, err error) {
	defer func() {
		if recover() != nil {
			n, err = -1, errWriterPanicked
		}
	}()
	if n, err = f(); err != nil {
		nilness.Examine(err)
	}
	return n, err
}

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

// UnmarshalJSON reads a line as MarshalJSON writes it. Values may be nested; they
// are flattened as [Properties] says. The parameters _k and _d are ignored, and so
// is null. All else is a property, whatever its name begins with. Lines that
// Kissmetrics exports need [ReadImport].
//
// The error is one or several joined [*ValidationError], and then the record is
// left as it was.
func (r *Record) UnmarshalJSON(line []byte) error {
	if written, ok := readWritten(string(line)); ok {
		*r = written
		return nil
	}
	read, err := readLine(line, true)
	if err == nil {
		*r = read.Record
	}
	return err
}

// An ImportedRecord is what a line of an import stands for.
type ImportedRecord struct {
	Record
	// Line is the number of the line, counted from 1.
	Line int
	// Protocol holds what stands on the line under a name that begins with one
	// underscore, such as _ip, _ua or _server_timestamp, sorted by name. Senders
	// add them for Kissmetrics itself; they are no properties, and are not sent
	// with the Record. An alias can have them too.
	Protocol []Property
	// Adjustments says what of the line the record does not hold: one of two
	// properties with one name and different values. The last one is kept.
	Adjustments []Adjustment
}

// WithProtocol returns the record with the fields of Protocol among its
// properties, for callers that want to send them on. It returns an alias as it is,
// because an alias has no properties.
func (r ImportedRecord) WithProtocol() Record {
	if r.Kind != KindAlias {
		r.Properties = sorted(slices.Concat(r.Properties, r.Protocol))
	}
	return r.Record
}

// ReadImport returns the records that the lines of an import stand for, as
// [ImportWriter] writes them, or as Kissmetrics' own data export does.
//
// The lines of an export are not always JSON. These are read all the same:
//
//   - Bytes as octal escapes (\303\251 is é, \042 a quotation mark), \' for an
//     apostrophe, backslashes that begin no escape, and raw control characters.
//   - Bytes that are not UTF-8, as the letters of Windows-1252 that they are. No
//     two of them are read as one letter, so that no two people become one.
//   - A row whose _n is empty, as properties.
//   - Fields of the protocol on any row, which are kept apart; see
//     [ImportedRecord].
//
// Nested values are flattened as [Properties] says. _k, _d and null are ignored.
//
// A line that is wrong is an error of type [*LineError], and the lines behind it go
// on. It wraps one or several joined [*ValidationError]. A line of more than 16 MiB
// is such an error too, and is not kept in memory. Blank lines count but are
// skipped. A line may end in CR LF, the last one in nothing, and the first may
// begin with a byte order mark. If r fails or panics, the last error is a LineError
// that wraps the error of r, with the number of the line where it failed, and of that
// line there is no record.
//
// Nothing is read before it is asked for, beyond a buffer. The sequence is for one
// goroutine and can be read once: after a break, the next loop goes on where the last
// one stopped.
//
// See https://support.kissmetrics.io/docs/data-export.
func ReadImport(r io.Reader) iter.Seq2[ImportedRecord, error] {
	reader := lines.NewReader(r)
	return func(yield func(ImportedRecord, error) bool) {
		for !reader.Ended() {
			line, err := reader.Next()
			if err == nil && len(line) == 0 {
				continue
			}
			var record ImportedRecord
			switch {
			case errors.Is(err, lines.ErrTooLong):
				err = &ValidationError{Field: "message", Reason: err.Error()}
			case err == nil:
				record, err = readLine(exportline.JSON(line), false)
			}
			record.Line = reader.Number()
			if err != nil {
				err = &LineError{Line: record.Line, Err: err}
			}
			if !yield(record, err) {
				return
			}
		}
	}
}

// An importLine is a line of an import while it becomes a record.
type importLine struct {
	importline.Line
	exact  bool // all beside the head is properties, and nothing is adjusted
	record ImportedRecord
	problems
}

// readLine reads a line of JSON.
func readLine(line []byte, exact bool) (ImportedRecord, error) {
	read, err := importline.Read(line, maxRecordValue, exact)
	if errors.Is(err, jsonwalk.ErrKind) {
		return ImportedRecord{}, &ValidationError{Field: "message", Reason: "is not a JSON object"}
	} else if err != nil {
		return ImportedRecord{}, jsonProblem(err)
	}
	l := importLine{Line: read, exact: exact}
	for _, problem := range read.Problems {
		if problem.Field == "property" {
			problem.Reason = quoted(problem.Name) + " " + problem.Reason
		}
		l.add(problem.Field, problem.Reason)
	}
	l.head()
	l.properties()
	l.record.validate(&l.problems)
	if err := l.err(); err != nil {
		return ImportedRecord{}, err
	}
	return l.record, nil
}

// readWritten reads a line that MarshalJSON has written; ok is false for most others.
func readWritten(line string) (r Record, ok bool) {
	if r, _, ok = importline.Written[Record](line, nil); !ok {
		return r, false
	}
	var p problems
	r.validate(&p) // what is wrong, readLine says
	return r, len(p) == 0
}

// head says what the record is.
func (l *importLine) head() {
	r := &l.record.Record
	r.Kind, r.Person = KindProperties, l.Person
	if !name.Blank(l.Event) {
		r.Kind, r.Name = KindEvent, l.Event
	}
	if l.Other != "" {
		if r.Kind == KindEvent {
			l.add("type", "has both _n and _p2")
		}
		r.Kind, r.Name = KindAlias, l.Other
	}
	if l.Time != "" {
		r.Time = time.Unix(l.Seconds, 0).UTC()
	}
}

// properties shares out what stands beside the head. What is nested comes first, so
// that a property with a name of its own wins over one that was made of several.
func (l *importLine) properties() {
	nested := flatten.Flattener{MaxValue: maxRecordValue}
	nested.Members(l.Nested, "")
	all := flatten.Settle[Property](&nested, nil)
	for _, note := range nested.Notes() {
		if _, reason := adjustmentOf(note); reason != "" {
			l.add("property", quoted(note.Name)+" "+reason)
		}
	}
	for _, v := range l.Plain {
		all = append(all, Property{v.Name, v.Text, v.Literal})
	}
	for _, property := range l.Twice {
		l.clash(property)
	}
	places := make(map[string]int, len(all))
	for _, p := range all {
		list, key := &l.record.Properties, p.Name
		if !l.exact {
			key = name.Fold(p.Name)
			if importline.IsProtocol(p.Name) {
				list = &l.record.Protocol
			}
		}
		switch i, seen := places[key]; {
		case !seen:
			places[key] = len(*list)
			*list = append(*list, p)
		case (*list)[i].Value != p.Value:
			l.clash((*list)[i].Name)
			(*list)[i] = p
		}
	}
	l.record.Properties, l.record.Protocol = sorted(l.record.Properties), sorted(l.record.Protocol)
}

// clash tells that one of two properties with one name is dropped.
func (l *importLine) clash(property string) {
	if l.exact {
		l.add("property", quoted(property)+" is there twice, with different values")
		return
	}
	l.record.Adjustments = append(l.record.Adjustments, Adjustment{Field: "property", Property: property, Kind: AdjustedClash})
}

// AppendImport appends the lines of Kissmetrics' bulk import that records have, each
// with its end, as [ImportWriter] writes them, and by its rules. If a record is
// refused, dst is returned as it was, with the error.
func AppendImport(dst []byte, records []Record) ([]byte, error) {
	var p problems
	written := dst
	for i := range records {
		r := &records[i]
		before := len(p)
		r.validate(&p)
		if r.Kind == KindAlias && r.Time.IsZero() {
			p.add("timestamp", "is missing, which an import needs of an alias too")
		}
		if len(p) > before || r.Kind == KindProperties && len(r.Properties) == 0 {
			continue
		}
		start := len(written)
		written = r.appendLine(written)
		if len(written)-start > lines.MaxBytes {
			p.add("message", lines.ErrTooLong.Error())
		}
		written = append(written, '\n')
	}
	if err := p.err(); err != nil {
		return dst, err
	}
	return written, nil
}
