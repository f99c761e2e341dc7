package lifetime_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/lifetime"
)

func TestCloseEndsWhatRunsAndWaitsForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lifetime.New()
		began := time.Now()
		for _, long := range []time.Duration{time.Second, time.Minute} {
			ctx, end, ok := l.Begin(t.Context())
			require.True(t, ok)
			go func() {
				<-ctx.Done()
				time.Sleep(long)
				end()
			}()
		}
		assert.False(t, l.IsClosed())
		require.NoError(t, l.Close(t.Context()))
		assert.Equal(t, time.Minute, time.Since(began))
		assert.True(t, l.IsClosed())
		<-l.Closed()
		_, _, ok := l.Begin(t.Context())
		assert.False(t, ok)
		require.NoError(t, l.Close(t.Context()), "again")
	})
}

func TestCloseWaitsNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lifetime.New()
		ctx, end, _ := l.Begin(t.Context())
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, l.Close(short), context.DeadlineExceeded)
		require.ErrorIs(t, ctx.Err(), context.Canceled, "it was told to end")
		end()
		require.NoError(t, l.Close(t.Context()))
	})
}

func TestWhatHasEndedIsNotWaitedFor(t *testing.T) {
	l := lifetime.New()
	ctx, end, _ := l.Begin(t.Context())
	end()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	require.NoError(t, l.Close(t.Context()))
}

func TestARunEndsWithItsCallersContext(t *testing.T) {
	l := lifetime.New()
	callers, cancel := context.WithCancel(t.Context())
	ctx, end, _ := l.Begin(callers)
	defer end()
	cancel()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
	assert.False(t, l.IsClosed())
}
