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
