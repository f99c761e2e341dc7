package kissmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestQueueWithoutRoomRefusesTheWholeMessage(t *testing.T) {
	three := append(append(event("1"), event("2")...), event("3")...)
	for name, test := range map[string]struct{ records, bytes int }{
		"records": {3, 1 << 20},
		"bytes":   {100, 200},
	} {
		t.Run(name, func(t *testing.T) {
			next := newGated()
			q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(test.records, test.bytes))
			require.NoError(t, q.Send(t.Context(), event("first")))
			before := q.Stats()
			require.ErrorIs(t, q.Send(t.Context(), append(three, three...)), kissmetrics.ErrQueueFull)
			assert.Equal(t, before, q.Stats())
			require.NoError(t, q.Send(t.Context(), event("second")))
			before = q.Stats()
			require.ErrorIs(t, q.Send(t.Context(), append(event("x"), event(strings.Repeat("y", 100))...)), kissmetrics.ErrQueueFull)
			assert.Equal(t, before, q.Stats())
			assert.LessOrEqual(t, before.WaitingBytes, int64(test.bytes))

			close(next.gate)
			require.NoError(t, q.Flush(t.Context()))
			assert.Equal(t, []string{"first", "second"}, next.names())
			assert.Equal(t, kissmetrics.Stats{Accepted: 2, Delivered: 2}, q.Stats())
		})
	}
}

func TestQueueWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(1, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))

		// In the order in which they came, however large they are.
		results := make(chan error, 2)
		for _, name := range []string{"second", "third"} {
			go func() { results <- q.Send(t.Context(), event(name)) }()
			synctest.Wait()
		}
		assert.Empty(t, results)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := q.Send(ctx, event("impatient"))
		require.ErrorIs(t, err, kissmetrics.ErrQueueFull)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		// What will never fit does not wait.
		require.ErrorIs(t, q.Send(t.Context(), append(event("a"), event("b")...)), kissmetrics.ErrQueueFull)

		next.gate <- struct{}{}
		require.NoError(t, <-results)
		synctest.Wait()
		assert.Empty(t, results)
		close(next.gate)
		require.NoError(t, <-results)
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"first", "second", "third"}, next.names())
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, q.Stats())
	})
}

func TestASmallMessageDoesNotOvertakeALargeOneThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(2, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		synctest.Wait()
		var sending sync.WaitGroup
		sending.Go(func() { assert.NoError(t, q.Send(t.Context(), append(event("large"), event("too")...))) })
		synctest.Wait()
		sending.Go(func() { assert.NoError(t, q.Send(t.Context(), event("small"))) }) // it would fit
		synctest.Wait()
		assert.EqualValues(t, 1, q.Stats().Accepted)
		close(next.gate)
		sending.Wait()
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"first", "large", "too", "small"}, next.names())
	})
}

func TestALargeMessageThatGivesUpWaitingLetsASmallOnePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := newGated()
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(2, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var sending sync.WaitGroup
		sending.Go(func() {
			assert.ErrorIs(t, q.Send(ctx, append(event("large"), event("too")...)), kissmetrics.ErrQueueFull)
		})
		synctest.Wait()
		start := time.Now()
		require.NoError(t, q.Send(t.Context(), event("small")))
		assert.Equal(t, time.Second, time.Since(start))
		sending.Wait()
	})
}

func TestByDefaultAQueueHolds100000Records(t *testing.T) {
	q := newQueue(t, stuckSender{})
	for range 100_000 {
		require.NoError(t, q.Send(t.Context(), event("e")))
	}
	require.ErrorIs(t, q.Send(t.Context(), event("one more")), kissmetrics.ErrQueueFull)
	assert.EqualValues(t, 100_000, q.Stats().Accepted)
}

func TestByDefaultAQueueHolds64MiB(t *testing.T) {
	q := newQueue(t, stuckSender{})
	large := event("e")
	for i := range 200 {
		large[0].Properties = append(large[0].Properties,
			kissmetrics.Property{Name: fmt.Sprintf("p%03d", i), Value: strings.Repeat("x", kissmetrics.MaxValueLength)})
	}
	for q.Send(t.Context(), large) == nil {
	}
	size := q.Stats().WaitingBytes / q.Stats().Waiting
	assert.LessOrEqual(t, q.Stats().WaitingBytes, int64(64<<20))
	assert.Greater(t, q.Stats().WaitingBytes+size, int64(64<<20))
}

func TestClosingEndsTheWaitForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, newGated(), kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(1, 1000), kissmetrics.WithFullPolicy(kissmetrics.FullWait))
		require.NoError(t, q.Send(t.Context(), event("first")))
		result := make(chan error)
		go func() { result <- q.Send(t.Context(), event("second")) }()
		synctest.Wait()
		undelivered, isUndelivered := errors.AsType[*kissmetrics.UndeliveredError](closeNow(q))
		require.True(t, isUndelivered)
		require.ErrorIs(t, <-result, kissmetrics.ErrClosed)
		assert.Equal(t, event("first"), undelivered.Records)
	})
}

func TestQueueDropsTheOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next, told := newGated(), &outcomes{}
		q := newQueue(t, next, kissmetrics.WithWorkers(1), kissmetrics.WithCapacity(4, 4000),
			kissmetrics.WithFullPolicy(kissmetrics.FullDropOldest), kissmetrics.WithOnResult(told.note))
		for _, name := range []string{"under way", "2", "3", "4"} {
			require.NoError(t, q.Send(t.Context(), event(name)))
			synctest.Wait()
		}
		require.NoError(t, q.Send(t.Context(), append(event("5"), event("6")...)))
		require.ErrorIs(t, told.of(t, "2"), kissmetrics.ErrQueueFull)
		require.ErrorIs(t, told.of(t, "3"), kissmetrics.ErrQueueFull)
		assert.Equal(t, int64(2), q.Stats().Dropped)

		// What is under way cannot be dropped, so this will not fit, and nothing
		// is dropped for it.
		large := append(append(event("7"), event("8")...), append(event("9"), event("10")...)...)
		require.ErrorIs(t, q.Send(t.Context(), large), kissmetrics.ErrQueueFull)
		assert.Equal(t, int64(2), q.Stats().Dropped)
		requireConserved(t, q.Stats())

		close(next.gate)
		require.NoError(t, q.Flush(t.Context()))
		assert.Equal(t, []string{"under way", "4", "5", "6"}, next.names())
		require.NoError(t, told.of(t, "4"))
		assert.Equal(t, kissmetrics.Stats{Accepted: 6, Delivered: 4, Dropped: 2}, q.Stats())
	})
}
