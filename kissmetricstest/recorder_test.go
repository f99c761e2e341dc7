package kissmetricstest_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

var _ kissmetrics.Sender = (*kissmetricstest.Recorder)(nil)

// newRecord returns a valid record that shares nothing with others.
func newRecord(name string) kissmetrics.Record {
	return kissmetrics.Record{
		Kind:       kissmetrics.KindEvent,
		Person:     "ann",
		Name:       name,
		Time:       at(second),
		Properties: []kissmetrics.Property{{Name: "Plan", Value: "Pro"}, {Name: "Seats", Value: "3", Literal: true}},
	}
}

func TestRecorderKeepsRecordsInOrder(t *testing.T) {
	t.Parallel()
	var recorder kissmetricstest.Recorder
	assert.Empty(t, recorder.Records())
	require.NoError(t, recorder.Send(t.Context(), nil))
	assert.Empty(t, recorder.Records())
	require.NoError(t, recorder.Send(t.Context(), []kissmetrics.Record{newRecord("a"), newRecord("b")}))
	require.NoError(t, recorder.Send(t.Context(), []kissmetrics.Record{newRecord("c")}))
	assert.Equal(t, []kissmetrics.Record{newRecord("a"), newRecord("b"), newRecord("c")}, recorder.Records())
}

func TestRecorderKeepsCopies(t *testing.T) {
	t.Parallel()
	var recorder kissmetricstest.Recorder
	sent := []kissmetrics.Record{newRecord("a"), newRecord("b")}
	want := []kissmetrics.Record{newRecord("a"), newRecord("b")}
	require.NoError(t, recorder.Send(t.Context(), sent))

	sent[0].Properties[0].Value = "changed"
	_ = append(sent[0].Properties[:1], kissmetrics.Property{Name: "New"})
	sent[1] = newRecord("changed")
	require.Equal(t, want, recorder.Records(), "what the caller sent is the caller's to change")

	got := recorder.Records()
	got[0].Properties[0].Value = "changed"
	got[1] = newRecord("changed")
	require.Equal(t, want, recorder.Records(), "what the caller was told is the caller's to change")
}

func TestRecorderKeepsRecordsAsTheyAre(t *testing.T) {
	t.Parallel()
	with := func(change func(r *kissmetrics.Record)) kissmetrics.Record {
		r := newRecord("a")
		change(&r)
		return r
	}
	want := []kissmetrics.Record{
		with(func(r *kissmetrics.Record) { r.Properties = nil }),
		with(func(r *kissmetrics.Record) { r.Properties = []kissmetrics.Property{} }),
		with(func(r *kissmetrics.Record) { r.Properties[0].Value, r.Properties[1].Value = "", "-0.5" }),
		with(func(r *kissmetrics.Record) { r.Time = time.Now() }),
		with(func(r *kissmetrics.Record) { r.Time = time.Date(2026, 3, 2, 9, 0, 0, 5, time.FixedZone("here", 3600)) }),
		with(func(r *kissmetrics.Record) { r.Kind, r.Name = kissmetrics.KindProperties, "" }),
		kissmetrics.NewAlias("ann", "bob", time.Time{}),
	}
	var recorder kissmetricstest.Recorder
	require.NoError(t, recorder.Send(t.Context(), want))
	for n := range 40 { // more than are kept in one piece
		record := newRecord(strconv.Itoa(n))
		want = append(want, record)
		require.NoError(t, recorder.Send(t.Context(), []kissmetrics.Record{record}))
	}
	assert.Equal(t, want, recorder.Records())
}

func TestRecorderKeepsAllOrNothing(t *testing.T) {
	t.Parallel()
	failure := errors.New("failure")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	invalid := newRecord("invalid")
	invalid.Person = ""
	valid := []kissmetrics.Record{newRecord("a"), newRecord("b")}
	for _, c := range []struct {
		name    string
		ctx     context.Context
		records []kissmetrics.Record
		fail    error
		want    error // nil: a ValidationError
	}{
		{"with an invalid record first", t.Context(), []kissmetrics.Record{invalid, newRecord("a")}, nil, nil},
		{"with an invalid record last", t.Context(), []kissmetrics.Record{newRecord("a"), invalid}, nil, nil},
		{"with a zero record", t.Context(), []kissmetrics.Record{{}}, nil, nil},
		{"with a context that was canceled", ended, valid, nil, context.Canceled},
		{"with a context that is past its deadline", expired, valid, nil, context.DeadlineExceeded},
		{"when it is to fail", t.Context(), valid, failure, failure},
	} {
		t.Run(c.name, func(t *testing.T) {
			var recorder kissmetricstest.Recorder
			require.NoError(t, recorder.Send(context.Background(), []kissmetrics.Record{newRecord("before")}))
			recorder.FailWith(c.fail)
			err := recorder.Send(c.ctx, c.records)
			if c.want != nil {
				require.ErrorIs(t, err, c.want)
			} else {
				_, ok := errors.AsType[*kissmetrics.ValidationError](err)
				require.True(t, ok, "%v is no ValidationError", err)
			}
			assert.Equal(t, []kissmetrics.Record{newRecord("before")}, recorder.Records())

			recorder.FailWith(nil)
			require.NoError(t, recorder.Send(context.Background(), []kissmetrics.Record{newRecord("after")}))
			assert.Equal(t, []kissmetrics.Record{newRecord("before"), newRecord("after")}, recorder.Records())
		})
	}
}

func TestRecorderFailsUntilToldOtherwise(t *testing.T) {
	t.Parallel()
	var recorder kissmetricstest.Recorder
	for _, failure := range []error{errors.New("one"), errors.New("other")} {
		recorder.FailWith(failure)
		for range 2 {
			require.Equal(t, failure, recorder.Send(t.Context(), []kissmetrics.Record{newRecord("a")}))
		}
	}
	assert.Empty(t, recorder.Records())
}

func TestRecorderIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	const goroutines, each = 16, 50
	var recorder kissmetricstest.Recorder
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				name := strconv.Itoa(g*each + i)
				records := []kissmetrics.Record{newRecord(name), newRecord(name)}
				assert.NoError(t, recorder.Send(t.Context(), records))
				records[0].Properties[0].Value = name
				recorder.FailWith(nil)
				for _, r := range recorder.Records() {
					r.Properties[0].Value = name
				}
			}
		})
	}
	wg.Wait()
	records := recorder.Records()
	require.Len(t, records, 2*goroutines*each)
	for i := 0; i < len(records); i += 2 {
		assert.Equal(t, newRecord(records[i].Name), records[i])
		assert.Equal(t, records[i], records[i+1], "the records of one call stay together")
	}
}
