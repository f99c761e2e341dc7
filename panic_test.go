package kissmetrics_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// panicking is a sender that panics with what must not be told.
type panicking struct{}

func (panicking) Send(context.Context, []kissmetrics.Record) error { panic(secretValue) }
func (panicking) Flush(context.Context) error                      { panic(secretValue) }

func TestNoPanicOfASenderReachesACaller(t *testing.T) {
	track := func(c *kissmetrics.Client, ctx context.Context) error {
		return c.Track(ctx, kissmetrics.Track{UserID: "u", Event: "e"})
	}
	for name, test := range map[string]struct {
		call    func(*kissmetrics.Client, context.Context) error
		options []kissmetrics.Option
	}{
		"a client's Track":        {track, nil},
		"a client's Flush":        {(*kissmetrics.Client).Flush, nil},
		"a client's Close":        {(*kissmetrics.Client).Close, nil},
		"a queued client's Flush": {(*kissmetrics.Client).Flush, []kissmetrics.Option{kissmetrics.WithQueue()}},
		"a queued client's Close": {(*kissmetrics.Client).Close, []kissmetrics.Option{kissmetrics.WithQueue()}},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := kissmetrics.New(append(test.options, kissmetrics.WithSender(panicking{}))...)
			require.NoError(t, err)
			err = test.call(client, t.Context())
			require.ErrorIs(t, err, kissmetrics.ErrSenderPanicked)
			requireNoSecret(t, err.Error())
			_ = client.Close(t.Context())
		})
	}
}

func TestAPanicInOnResultIsContainedAndLogged(t *testing.T) {
	var log bytes.Buffer
	client := newClient(t, kissmetrics.WithDoer(&script{answers: []answer{{status: 200}}}),
		kissmetrics.WithLogger(slog.New(slog.NewJSONHandler(&log, nil))),
		kissmetrics.WithQueue(kissmetrics.WithWorkers(1), kissmetrics.WithOnResult(func(_ context.Context, r kissmetrics.Record, _ error) {
			panic(r.Properties[0].Value)
		})))
	require.NoError(t, client.Track(t.Context(), secretive))
	require.NoError(t, client.Close(t.Context()))
	assert.Equal(t, 2, strings.Count(log.String(), "WithOnResult panicked"), log.String())
	requireNoSecret(t, log.String())
	assert.EqualValues(t, 2, client.Stats().Delivered)
}

func TestASenderThatMisbehavesCostsNoWorker(t *testing.T) {
	for name, misbehave := range map[string]func(){
		"panics":           func() { panic(secretValue) },
		"ends a goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				calls := 0
				recorder := &kissmetricstest.Recorder{}
				q := newQueue(t, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
					if calls++; calls <= 3 {
						misbehave()
					}
					return recorder.Send(ctx, records)
				}), kissmetrics.WithWorkers(1), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				require.NoError(t, q.Send(t.Context(), event("e")))
				require.NoError(t, q.Close(t.Context()))
				assert.Equal(t, event("e"), recorder.Records())
				requireNoSecret(t, log.String())
			})
		})
	}
}

func TestAnOnResultThatEndsItsGoroutineCostsNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, &kissmetricstest.Recorder{}, kissmetrics.WithWorkers(1),
			kissmetrics.WithOnResult(func(context.Context, kissmetrics.Record, error) { runtime.Goexit() }))
		for range 3 {
			require.NoError(t, q.Send(t.Context(), event("e")))
			require.NoError(t, q.Flush(t.Context()))
		}
		require.NoError(t, q.Close(t.Context()))
		assert.Equal(t, kissmetrics.Stats{Accepted: 3, Delivered: 3}, q.Stats())
	})
}

// A handler that takes every context for one of a request.
type trustful struct{ slog.Handler }

func (trustful) Enabled(context.Context, slog.Level) bool { return true }
func (trustful) Handle(ctx context.Context, _ slog.Record) error {
	return errors.New(ctx.Value("request").(string))
}

func TestNoPanicOfALoggersHandlerReachesAnybody(t *testing.T) {
	logger := kissmetrics.WithLogger(slog.New(trustful{}))
	for name, options := range map[string][]kissmetrics.Option{
		"in a call":              nil,
		"in a queue's worker":    {kissmetrics.WithQueue()},
		"of a logger of a queue": {kissmetrics.WithQueue(logger)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				doer := &flaky{begin: time.Now(), until: time.Now().Add(time.Minute)}
				client, err := kissmetrics.New(append(options, logger, kissmetrics.WithAPIKey(secretKey), kissmetrics.WithDoer(doer))...)
				require.NoError(t, err)
				_ = client.Track(t.Context(), secretive)
				time.Sleep(2 * time.Minute)
				require.NoError(t, client.Close(t.Context()))
				assert.NotEmpty(t, doer.failed)
			})
		})
	}
}
