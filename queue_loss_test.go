package kissmetrics_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// linesWith returns the lines of a log that hold a text.
func linesWith(log *bytes.Buffer, text string) (found []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestEveryLossIsLogged(t *testing.T) {
	refusing := senderFunc(func(context.Context, []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 400, Reason: "400 Bad Request"}
	})
	stuck := senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
		<-ctx.Done()
		return ctx.Err()
	})
	for name, test := range map[string]struct {
		next    kissmetrics.Sender
		options []kissmetrics.QueueOption
		want    []string // one line a minute, and one at the end
	}{
		"refused by the server": {refusing, nil,
			[]string{"records=1 reason=\"kissmetrics: delivery refused: 400 Bad Request", "records=3 reason=\"kissmetrics: delivery refused: 400 Bad Request"}},
		"dropped to make room": {stuck, []kissmetrics.QueueOption{kissmetrics.WithCapacity(2, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullDropOldest)},
			[]string{"records=1 reason=\"kissmetrics: the queue is full\"", "records=3 reason=\"kissmetrics: closed\""}},
		"handed back": {stuck, nil, []string{"records=4 reason=\"kissmetrics: closed\""}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				q := newQueue(t, test.next, append(test.options, kissmetrics.WithWorkers(1),
					kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))...)
				for range 4 {
					require.NoError(t, q.Send(t.Context(), event("e")))
					synctest.Wait()
				}
				_ = closeNow(q)
				told := linesWith(&log, "were not delivered")
				require.Len(t, told, len(test.want), log.String())
				for i, want := range test.want {
					assert.Contains(t, told[i], want)
					assert.Contains(t, told[i], "level=WARN")
				}
			})
		})
	}
}

func TestLossesAreLoggedOnceAMinuteAndAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := newQueue(t, senderFunc(func(context.Context, []kissmetrics.Record) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused}
		}), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		for range 150 { // seconds
			require.NoError(t, q.Send(t.Context(), event("e")))
			time.Sleep(time.Second)
		}
		require.NoError(t, q.Close(t.Context()))
		told := linesWith(&log, "were not delivered")
		require.Len(t, told, 4, log.String())
		for i, records := range []string{"records=1 ", "records=60 ", "records=60 ", "records=29 "} {
			assert.Contains(t, told[i], records)
		}
	})
}

func TestADropUnpacksNothingThatNobodyAskedFor(t *testing.T) {
	ask := func(kissmetrics.Record) {}
	allocations := func(options ...kissmetrics.QueueOption) float64 {
		q := newQueue(t, stuckSender{}, append(options, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(10, 1<<20),
			kissmetrics.WithFullPolicy(kissmetrics.FullDropOldest))...)
		records := event("e")
		records[0].Properties = []kissmetrics.Property{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}
		for range 20 {
			require.NoError(t, q.Send(t.Context(), records))
		}
		return testing.AllocsPerRun(100, func() { _ = q.Send(t.Context(), records) })
	}
	without := allocations()
	with := allocations(kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, _ error) { ask(r) }))
	assert.LessOrEqual(t, without, with-2, "the records and their properties")
}
