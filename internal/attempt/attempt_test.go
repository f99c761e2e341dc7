package attempt_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/attempt"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

var records = []kissmetrics.Record{kissmetrics.NewEvent("u", "E", time.Unix(1_700_000_000, 0))}

func TestAnHTTPSenderTriesOnce(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	next, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(time.Millisecond, time.Millisecond))
	require.NoError(t, err)
	defer next.CloseIdleConnections()
	require.Error(t, attempt.By(next).Send(t.Context(), records))
	assert.Len(t, server.Requests(), 1)
}

type panics struct{}

func (panics) Send(context.Context, []kissmetrics.Record) error { panic("s3cret") }

func TestAPanicIsAnError(t *testing.T) {
	assert.Equal(t, kissmetrics.ErrSenderPanicked, attempt.By(panics{}).Send(t.Context(), records))
}

func TestAnyOtherSenderIsAskedAsItIs(t *testing.T) {
	var recorder kissmetricstest.Recorder
	require.NoError(t, attempt.By(&recorder).Send(t.Context(), records))
	assert.Len(t, recorder.Records(), 1)
}
