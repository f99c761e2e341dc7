package kissmetrics_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// request is a context as some frameworks have, and an error with a cause.
type request struct {
	context.Context //nolint:containedctx // a test's

	cause error
}

func (*request) Error() string   { return "a constant text" }
func (r *request) Unwrap() error { return r.cause }

// A nil pointer in a context is what a framework's request is where there is none.
func TestNoContextIsAsGoodAsAnyOther(t *testing.T) {
	delivered := kissmetrics.WithDoer(&script{answers: []answer{{status: 200}}})
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(secretKey), delivered)
	require.NoError(t, err)
	for name, ctx := range map[string]context.Context{"nil": nil, "a nil pointer": (*request)(nil)} {
		t.Run(name, func(t *testing.T) {
			for _, options := range [][]kissmetrics.Option{nil, {kissmetrics.WithQueue(kissmetrics.WithContextValues("key"), kissmetrics.WithFullPolicy(kissmetrics.FullWait))}} {
				client := newClient(t, append(options, delivered)...)
				require.NoError(t, client.Track(ctx, kissmetrics.Track{UserID: "u", Event: "e"}))
				require.NoError(t, client.Flush(ctx))
				require.NoError(t, client.Close(ctx))
			}
			require.NoError(t, sender.Send(ctx, event("e")))
			w := kissmetrics.NewImportWriter(bufio.NewWriter(io.Discard))
			require.NoError(t, w.Send(ctx, event("e")))
			require.NoError(t, w.Flush(ctx))
			require.NoError(t, new(kissmetricstest.Recorder).Send(ctx, event("e")))
		})
	}
}

func TestAnErrorOfAWriterWhoseMethodsPanicIsAPanic(t *testing.T) {
	for _, failure := range []error{(*request)(nil), fmt.Errorf("around: %w", (*request)(nil))} {
		w := kissmetrics.NewImportWriter(&writes{next: func([]byte) (int, error) { return 0, failure }})
		err := w.Send(t.Context(), event("e"))
		require.ErrorContains(t, err, "the writer panicked")
		failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
		require.True(t, ok)
		assert.Len(t, failed.Undelivered, 1)
		require.Equal(t, errors.Unwrap(err), errors.Unwrap(w.Send(t.Context(), event("e"))), "and nothing more is written")
	}
}

func TestErrorsWithNothingInThemHaveATextToo(t *testing.T) {
	for _, err := range []error{
		&kissmetrics.ValidationError{}, &kissmetrics.LineError{}, &kissmetrics.DeliveryError{}, &kissmetrics.UndeliveredError{},
	} {
		assert.NotPanics(t, func() { _ = err.Error() }, "%T", err)
	}
}
