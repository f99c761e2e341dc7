package main

import (
	"context"
	"database/sql"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// A begun sender tells when it is asked to send.
type begun struct {
	kissmetrics.Sender

	told chan struct{}
}

func (b begun) Send(ctx context.Context, records []kissmetrics.Record) error {
	select {
	case b.told <- struct{}{}:
	default:
	}
	return b.Sender.Send(ctx, records)
}

// A client gives up while an outbox waits for its file, and sends the same message
// again, which has no time of its own: it counts once.
func TestAClientThatGivesUpOnALockedFileCountsOnce(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "shop.db")
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	require.NoError(t, outbox.Migrate(ctx, db))
	box, err := outbox.Open(ctx, path, outbox.WithSharedFile())
	require.NoError(t, err)
	defer func() { _ = box.Close(context.WithoutCancel(ctx)) }()

	sender := begun{box, make(chan struct{}, 1)}
	handler, err := collect.NewHandler(sender, collect.WithWriteKeys("demo"))
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	post := func(ctx context.Context) (int, error) {
		const message = `{"messageId":"1","userId":"ada","event":"Paid"}`
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v1/track", strings.NewReader(message))
		require.NoError(t, err)
		request.SetBasicAuth("demo", "")
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		return response.StatusCode, response.Body.Close()
	}

	other, err := db.Conn(ctx) // another writer
	require.NoError(t, err)
	defer func() { _ = other.Close() }()
	_, err = other.ExecContext(ctx, "BEGIN IMMEDIATE")
	require.NoError(t, err)
	impatient, giveUp := context.WithCancel(ctx)
	go func() { <-sender.told; giveUp() }()
	_, err = post(impatient)
	require.ErrorIs(t, err, context.Canceled)
	_, err = other.ExecContext(ctx, "ROLLBACK")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		stats, err := box.Stats(ctx)
		return err == nil && stats.Waiting == 1
	}, 20*time.Second, 20*time.Millisecond, "it is stored, although nobody waits for it")
	require.Eventually(t, func() bool {
		status, err := post(ctx)
		return err == nil && status == http.StatusOK
	}, 20*time.Second, 20*time.Millisecond)

	tracking := kissmetricstest.NewServer(t)
	delivery, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(key), kissmetrics.WithBaseURL(tracking.URL))
	require.NoError(t, err)
	defer delivery.CloseIdleConnections()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- box.Run(running, delivery) }()
	require.NoError(t, box.Flush(ctx))
	stop()
	require.NoError(t, <-ended)
	assert.Len(t, tracking.Requests(), 1, "not even a second request")
	assert.Len(t, tracking.Events("ada"), 1)
}
