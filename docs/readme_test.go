package docs

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// The functions below hold the code of README.md line by line, so that it is known
// to compile, and to do what the text says.

func start(ctx context.Context) error {
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(os.Getenv("KISSMETRICS_API_KEY")))
	if err != nil {
		return err
	}
	err = client.Track(ctx, kissmetrics.Track{
		UserID:     "user-1",
		Event:      "Order Completed",
		Properties: kissmetrics.Properties{"order_id": "o-17", "revenue": 25},
	})
	return errors.Join(err, client.Close(ctx))
}

func TestTheFirstExample(t *testing.T) {
	t.Setenv("KISSMETRICS_API_KEY", "")
	require.ErrorIs(t, start(t.Context()), kissmetrics.ErrInvalidOption)
	t.Setenv("KISSMETRICS_API_KEY", strings.Repeat("a1", 20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // so nothing leaves this machine
	require.ErrorIs(t, start(ctx), context.Canceled)
}

func queued(ctx, shutdown context.Context, key string, serve func(context.Context, *kissmetrics.Client)) error {
	client, err := kissmetrics.New(kissmetrics.WithAPIKey(key), kissmetrics.WithQueue())
	if err != nil {
		return err
	}
	serve(ctx, client)
	return client.Close(shutdown) // after the last call: delivers what is left until shutdown ends
}

func TestTheQueuedExample(t *testing.T) {
	shutdown, cancel := context.WithCancel(t.Context())
	cancel()
	err := queued(t.Context(), shutdown, "key", func(ctx context.Context, _ *kissmetrics.Client) {
		require.NoError(t, ctx.Err())
	})
	require.NoError(t, err, "nothing was accepted, so nothing is left")
}

func signUp(ctx context.Context, client *kissmetrics.Client, id string) {
	_ = client.Track(ctx, kissmetrics.Track{UserID: id, Event: "Signed Up"})
}

func TestSignUpIsTracked(t *testing.T) {
	server := kissmetricstest.NewServer(t) // behaves as Kissmetrics documents its own
	client, err := kissmetrics.New(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)

	signUp(t.Context(), client, "user-1")

	kissmetricstest.RequireEvent(t, server, "user-1", "Signed Up")
	kissmetricstest.RequireClean(t, server) // nothing that Kissmetrics would drop
}

func pipeline(ctx context.Context, data []byte, received time.Time, sender kissmetrics.Sender, report func([]kissmetrics.Adjustment)) error {
	if kissmetrics.Excluded(data) { // the sender's "integrations" say: not to Kissmetrics
		return nil
	}
	message, err := kissmetrics.ParseMessage(data)
	if err != nil {
		return err
	}
	records, adjustments, err := kissmetrics.Transform(message, received, kissmetrics.TransformOptions{})
	if err != nil {
		return err
	}
	report(adjustments)
	return sender.Send(ctx, records)
}

func TestThePipeline(t *testing.T) {
	var recorder kissmetricstest.Recorder
	for _, message := range []string{
		`{"type":"track","userId":"user-1","event":"Order Completed"}`,
		`{"type":"track","userId":"user-1","event":"Secret","integrations":{"All":false}}`,
	} {
		err := pipeline(t.Context(), []byte(message), time.Now(), &recorder, func(adjustments []kissmetrics.Adjustment) {
			assert.Empty(t, adjustments)
		})
		require.NoError(t, err)
	}
	require.Len(t, recorder.Records(), 1)
	assert.Equal(t, "Order Completed", recorder.Records()[0].Name)
}
