package kissmetrics_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// orderRecords are the records of one message.
func orderRecords(t testing.TB, person string) []kissmetrics.Record {
	t.Helper()
	records, _, err := kissmetrics.Transform(kissmetrics.Track{UserID: person, Event: "Order Completed", Timestamp: second, Properties: kissmetrics.Properties{
		"revenue": 25, "note": "a\nb\u2028c <&>", "products": []any{map[string]any{"sku": "MUG"}, map[string]any{"sku": "TEE"}},
	}}, time.Time{}, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.Len(t, records, 3)
	return records
}

// imported collects what ReadImport yields.
func imported(lines iter.Seq2[kissmetrics.ImportedRecord, error]) (read []kissmetrics.Record, errs []error) {
	for line, err := range lines {
		if err != nil {
			errs = append(errs, err)
		} else {
			read = append(read, line.Record)
		}
	}
	return read, errs
}

func TestImportIsReadBackAsWritten(t *testing.T) {
	var want []kissmetrics.Record
	var file bytes.Buffer
	w := kissmetrics.NewImportWriter(&file)
	for _, c := range allConformance(t) {
		message, err := kissmetrics.ParseMessage(c.Message)
		if err != nil {
			continue // as it must be
		}
		records, _, err := kissmetrics.Transform(message, testNow, kissmetrics.TransformOptions{})
		if err != nil {
			continue
		}
		require.NoError(t, w.Send(t.Context(), records))
		for _, r := range records {
			if r.Kind != kissmetrics.KindProperties || len(r.Properties) > 0 {
				want = append(want, r)
			}
		}
	}
	assert.Equal(t, len(want), strings.Count(file.String(), "\n"), "one line a record")

	got, errs := imported(kissmetrics.ReadImport(&file))

	assert.Empty(t, errs)
	require.Greater(t, len(want), 300)
	for i := range want {
		require.Equal(t, want[i].String(), got[i].String())
		require.Equal(t, want[i].Values(), got[i].Values())
	}
}

// writes notes every Write, and fails as it is told.
type writes struct {
	parts []string
	next  func(p []byte) (int, error)
}

func (w *writes) Write(p []byte) (int, error) {
	if w.next != nil {
		return w.next(p)
	}
	w.parts = append(w.parts, string(p))
	return len(p), nil
}

func TestImportOfAMessageIsOneWrite(t *testing.T) {
	var w writes
	require.NoError(t, kissmetrics.NewImportWriter(&w).Send(t.Context(), orderRecords(t, "u")))
	require.Len(t, w.parts, 1)
	assert.Equal(t, 3, strings.Count(w.parts[0], "\n"))
	assert.True(t, strings.HasSuffix(w.parts[0], "}\n"))
}

func TestImportOfNothingWritesNothing(t *testing.T) {
	var w writes
	require.NoError(t, kissmetrics.NewImportWriter(&w).Send(t.Context(), nil))
	assert.Empty(t, w.parts)
}

func TestImportHasNoLineForPropertiesThatAreNone(t *testing.T) {
	var w writes
	nothing := kissmetrics.NewProperties("u", second)
	sender := kissmetrics.NewImportWriter(&w)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{nothing}))
	assert.Empty(t, w.parts)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{nothing, kissmetrics.NewAlias("a", "b", second), nothing}))
	assert.Equal(t, []string{`{"_p":"a","_t":` + strconv.FormatInt(second.Unix(), 10) + `,"_p2":"b"}` + "\n"}, w.parts)
}

func TestImportRefuses(t *testing.T) {
	good := orderRecords(t, "u")[0]
	long := good
	long.Properties = nil
	for i := range 2100 {
		long.Properties = append(long.Properties, kissmetrics.Property{Name: "p" + strconv.Itoa(10_000+i), Value: strings.Repeat("x", 8192)})
	}
	tests := map[string]struct {
		record kissmetrics.Record
		field  string
	}{
		"a record that is not valid": {kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: "u", Time: second}, "event"},
		"an alias without a time":    {kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "a", Name: "b"}, "timestamp"},
		"a line beyond 16 MiB":       {long, "message"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var w writes
			err := kissmetrics.NewImportWriter(&w).Send(t.Context(), []kissmetrics.Record{good, test.record})
			requireField(t, test.field, err)
			assert.Empty(t, w.parts, "nothing of the message is written")
		})
	}
}

func TestImportAfterAFailedWrite(t *testing.T) {
	boom := errors.New("VALUE-s3cret")
	tests := map[string]struct {
		write  func(p []byte) (int, error)
		is     error
		reason string
		usable bool
	}{
		"nothing was written":   {func([]byte) (int, error) { return 0, syscall.ENOSPC }, syscall.ENOSPC, "no space left", true},
		"a part was written":    {func([]byte) (int, error) { return 5, boom }, boom, "the writer failed", false},
		"all was, and an error": {func(p []byte) (int, error) { return len(p), boom }, boom, "the writer failed", false},
		"short without error":   {func([]byte) (int, error) { return 5, nil }, io.ErrShortWrite, "short write", false},
		"a count of no sense":   {func([]byte) (int, error) { return -7, nil }, io.ErrShortWrite, "short write", false},
		"a panic":               {func([]byte) (int, error) { panic(boom) }, nil, "panicked", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := &writes{next: test.write}
			sender := kissmetrics.NewImportWriter(w)
			records := orderRecords(t, "u")

			err := sender.Send(t.Context(), records)

			delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, kissmetrics.FailureUnavailable, delivery.Kind)
			assert.Equal(t, records, delivery.Undelivered)
			assert.Empty(t, delivery.Delivered)
			assert.ErrorContains(t, err, test.reason)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			requireQuiet(t, err)

			w.next = nil
			err = sender.Send(t.Context(), records)
			if test.usable {
				require.NoError(t, err)
				assert.Len(t, w.parts, 1)
			} else {
				require.ErrorContains(t, err, test.reason)
				assert.Empty(t, w.parts, "no line is written behind one that may be torn")
			}
		})
	}
}

func TestImportFlush(t *testing.T) {
	var file bytes.Buffer
	buffered := bufio.NewWriter(&file)
	w := kissmetrics.NewImportWriter(buffered)
	require.NoError(t, w.Send(t.Context(), orderRecords(t, "u")))
	assert.Zero(t, file.Len())
	require.NoError(t, w.Flush(t.Context()))
	assert.Equal(t, 3, strings.Count(file.String(), "\n"))

	require.NoError(t, kissmetrics.NewImportWriter(&file).Flush(t.Context()), "there is nothing to flush")

	failing := kissmetrics.NewImportWriter(bufio.NewWriter(&writes{next: func([]byte) (int, error) { return 0, syscall.ENOSPC }}))
	require.NoError(t, failing.Send(t.Context(), orderRecords(t, "u")))
	require.ErrorIs(t, failing.Flush(t.Context()), syscall.ENOSPC)
	require.ErrorIs(t, failing.Send(t.Context(), orderRecords(t, "u")), syscall.ENOSPC)
}

func TestImportFlushedByAQueue(t *testing.T) {
	var file bytes.Buffer
	client, err := kissmetrics.New(kissmetrics.WithSender(kissmetrics.NewImportWriter(bufio.NewWriter(&file))), kissmetrics.WithQueue())
	require.NoError(t, err)
	require.NoError(t, client.Alias(t.Context(), kissmetrics.Alias{PreviousID: "a", UserID: "b"}))
	require.NoError(t, client.Close(t.Context()))
	assert.Contains(t, file.String(), `"_p2":"b"`)
}

func TestImportWaitsForItsTurn(t *testing.T) {
	writing, release := make(chan struct{}), make(chan struct{})
	w := kissmetrics.NewImportWriter(&writes{next: func(p []byte) (int, error) {
		close(writing)
		<-release
		return len(p), nil
	}})
	var wg sync.WaitGroup
	wg.Go(func() { assert.NoError(t, w.Send(context.Background(), orderRecords(t, "a"))) })
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	for range 2 { // while waiting, and before
		err := w.Send(ctx, orderRecords(t, "b"))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		delivery, ok := errors.AsType[*kissmetrics.DeliveryError](err)
		require.True(t, ok)
		assert.Equal(t, kissmetrics.FailureCanceled, delivery.Kind)
		assert.Len(t, delivery.Undelivered, 3)
	}
	close(release)
	wg.Wait()
}

func TestImportOfManyGoroutines(t *testing.T) {
	const goroutines, messages = 8, 50
	var file bytes.Buffer
	w := kissmetrics.NewImportWriter(&file)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for range messages {
				assert.NoError(t, w.Send(t.Context(), orderRecords(t, "u"+strconv.Itoa(g))))
			}
		})
	}
	wg.Wait()
	records, errs := imported(kissmetrics.ReadImport(&file))
	assert.Empty(t, errs)
	require.Len(t, records, goroutines*messages*3)
	for i := 0; i < len(records); i += 3 { // the lines of a message are together
		assert.Equal(t, kissmetrics.KindEvent, records[i].Kind)
		assert.Equal(t, records[i].Person, records[i+1].Person)
		assert.Equal(t, records[i].Person, records[i+2].Person)
	}
}

func TestReadImport(t *testing.T) {
	const good = `{"_p":"u","_n":"e","_t":1579847342}`
	tests := map[string]struct {
		file  string
		read  int
		lines map[int]string // the errors
	}{
		"nothing":             {"", 0, nil},
		"no end of line":      {good, 1, nil},
		"CR LF":               {good + "\r\n" + good + "\r\n", 2, nil},
		"blank lines":         {"\n  \n" + good + "\n\r\n\t\n" + good + "\n\n", 2, nil},
		"a byte order mark":   {"\ufeff" + good + "\n" + good + "\n", 2, nil},
		"one in the middle":   {good + "\n\ufeff" + good + "\n", 1, map[int]string{2: "message"}},
		"others go on":        {good + "\n{\n" + good + "\n\n{\"_p\":\"u\"}\n" + good, 3, map[int]string{2: "message", 5: "timestamp"}},
		"a line that is cut":  {good + "\n" + good[:20], 1, map[int]string{2: "message"}},
		"a list":              {`[` + good + "]\n" + good, 1, map[int]string{1: "message"}},
		"two on a line":       {good + good + "\n" + good, 1, map[int]string{1: "message"}},
		"several wrong":       {`{"_n":"e"}` + "\n" + good, 1, map[int]string{1: "identity"}},
		"an event of 2008":    {`{"_p":"u","_n":"e","_t":1220000000}` + "\n" + good, 1, map[int]string{1: "timestamp"}},
		"event and alias":     {`{"_p":"u","_n":"e","_p2":"v","_t":1579847342}`, 0, map[int]string{1: "type"}},
		"export: an alias":    {`{"_p":"u","_p2":"v","_t":1579847342}`, 1, nil},
		"export: properties":  {`{"_p":"u","_t":1579847342.5,"plan":"pro","n":1,"_c":"x"}`, 1, nil},
		"a long line":         {good + "\n" + `{"a":"` + strings.Repeat("x", 16<<20) + "\"}\n" + good, 2, map[int]string{2: "message"}},
		"a long last line":    {strings.Repeat("x", 16<<20+3), 0, map[int]string{1: "message"}},
		"a line of 16 MiB":    {strings.Repeat(" ", 16<<20-len(good)) + good + "\r\n", 1, nil},
		"longer than a read":  {`{"_p":"u","_n":"e","_t":1579847342,"a":"` + strings.Repeat("x", 8000) + `"` + strings.Repeat(" ", 200_000) + "}\n" + good, 2, nil},
		"100,000 levels":      {strings.Repeat(`{"a":`, 100_000) + "\n" + good, 1, map[int]string{1: "message"}},
		"not UTF-8":           {"{\"_p\":\"u\xff\",\"_n\":\"e\",\"_t\":1579847342}", 1, nil},
		"an escape of octals": {`{"_p":"u","_n":"caf\303\251","_t":1579847342}`, 1, nil},
		"an octal of ASCII":   {`{"_p":"u","_n":"\101","_t":1579847342}`, 1, nil},
		"two identities":      {`{"_p":"u","_p":"v","_n":"e","_t":1579847342}`, 0, map[int]string{1: "identity"}},
		"two equal ones":      {`{"_p":"u","_n":"e","_n":"e","_p":"u","_t":1579847342}`, 1, nil},
		"two names":           {`{"_p":"u","_n":"e","_n":"","_t":1579847342}`, 0, map[int]string{1: "event"}},
		"two times":           {`{"_p":"u","_n":"e","_t":1579847343,"_t":1579847342}`, 0, map[int]string{1: "timestamp"}},
		"no texts":            {`{"_p":true,"_n":{},"_t":[]}`, 0, map[int]string{1: "identity"}},
		"a number of no end":  {`{"_p":"u","_n":"e","_t":1579847342,"a":1e999999999}`, 0, map[int]string{1: "property"}},
		"an alias with more":  {`{"_p":"u","_p2":"v","_t":1579847342,"plan":"pro"}`, 0, map[int]string{1: "property"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			read, errs := imported(kissmetrics.ReadImport(strings.NewReader(test.file)))
			assert.Len(t, read, test.read)
			got := map[int]string{}
			for _, err := range errs {
				line, ok := errors.AsType[*kissmetrics.LineError](err)
				require.True(t, ok, "%v", err)
				require.ErrorContains(t, err, "kissmetrics: line "+strconv.Itoa(line.Line)+": ")
				require.NotContains(t, err.Error(), "\n")
				requireOnlyValidationErrors(t, line.Err)
				wrong, _ := errors.AsType[*kissmetrics.ValidationError](err)
				got[line.Line] = wrong.Field
			}
			if test.lines == nil {
				test.lines = map[int]string{}
			}
			assert.Equal(t, test.lines, got)
		})
	}
}

func TestReadImportTellsWhereTheReaderFailed(t *testing.T) {
	boom := errors.New("boom")
	r := io.MultiReader(strings.NewReader(`{"_p":"u","_n":"e","_t":1579847342}`+"\n"+`{"_p":"u"`), &failingReader{boom})
	read, errs := imported(kissmetrics.ReadImport(r))
	assert.Len(t, read, 1)
	require.Len(t, errs, 1)
	line, ok := errors.AsType[*kissmetrics.LineError](errs[0])
	require.True(t, ok)
	assert.Equal(t, 2, line.Line)
	require.ErrorIs(t, line, boom)
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadImportGoesOnAfterABreak(t *testing.T) {
	records := kissmetrics.ReadImport(strings.NewReader(strings.Repeat(`{"_p":"u","_n":"e","_t":1579847342}`+"\n", 3)))
	for _, err := range records {
		require.NoError(t, err)
		break
	}
	read, _ := imported(records)
	assert.Len(t, read, 2)
	read, errs := imported(records)
	assert.Empty(t, read)
	assert.Empty(t, errs, "all was read")
}

func TestReadImportKeepsNothingOfItsBuffer(t *testing.T) {
	var file strings.Builder
	for i := range 100 {
		file.WriteString(`{"_p":"person-` + strconv.Itoa(i) + `","_n":"e","_t":1579847342,"caf\303\251":"` + strconv.Itoa(i) + `x"}` + "\n")
	}
	read, errs := imported(kissmetrics.ReadImport(strings.NewReader(file.String())))
	require.Empty(t, errs)
	require.Len(t, read, 100)
	for i, r := range read {
		require.Equal(t, "person-"+strconv.Itoa(i), r.Person)
		require.Equal(t, []kissmetrics.Property{{Name: "café", Value: strconv.Itoa(i) + "x"}}, r.Properties)
	}
}

// FuzzReadImport: it never panics; an error is a LineError of validation errors,
// with lines that grow; what was read is valid, and survives being written and
// read again.
func FuzzReadImport(f *testing.F) {
	f.Add([]byte("\ufeff{\"_p\":\"u\",\"_n\":\"e\",\"_t\":1579847342}\r\n\n{}\n[1]\n"))
	f.Add([]byte(`{"_p":"u","_p2":"v","_t":1579847342}` + "\n" + `{"_p":"u","_t":1,"a":{"b":[1,{"c":null}]}}`))
	f.Add([]byte(`{"_p":"u","_t":1579847342,"caf\303\251\\":"\\\303"}`))
	f.Add([]byte(`{"_p":"u\231","_p2":"C:\Users\bob","_t":1579847342,"_c":"x","_c":{"y":1}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var read []kissmetrics.Record
		last := 0
		for r, err := range kissmetrics.ReadImport(bytes.NewReader(file)) {
			if err == nil {
				require.NoError(t, r.Validate())
				read = append(read, r.Record)
				continue
			}
			line, ok := errors.AsType[*kissmetrics.LineError](err)
			require.True(t, ok)
			require.Greater(t, line.Line, last)
			last = line.Line
			requireOnlyValidationErrors(t, line.Err)
		}
		require.LessOrEqual(t, last+len(read), 2*bytes.Count(file, []byte("\n"))+2)
		var again bytes.Buffer
		w := kissmetrics.NewImportWriter(&again)
		var want []kissmetrics.Record
		for _, r := range read {
			if !r.Time.IsZero() && (r.Kind != kissmetrics.KindProperties || len(r.Properties) > 0) {
				want = append(want, r)
			}
		}
		require.NoError(t, w.Send(t.Context(), want))
		got, errs := imported(kissmetrics.ReadImport(&again))
		require.Empty(t, errs)
		require.Equal(t, want, got)
	})
}
