package safelog_test

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/internal/safelog"
)

// panicking is a handler that panics when it is asked anything.
type panicking struct{ slog.Handler }

func (panicking) Enabled(context.Context, slog.Level) bool { panic("enabled") }

// handles is a handler that panics when it handles a record.
type handles struct{ slog.Handler }

func (handles) Handle(context.Context, slog.Record) error { panic("handle") }

func TestAHandlerThatPanicsReachesNobody(t *testing.T) {
	var out bytes.Buffer
	text := slog.NewTextHandler(&out, nil)
	for _, h := range []slog.Handler{panicking{text}, handles{text}} {
		logger := safelog.Logger(slog.New(h))
		assert.NotPanics(t, func() { logger.Info("a line") })
	}
	assert.Empty(t, out.String())
}

func TestWhatDoesNotPanicIsLogged(t *testing.T) {
	var out bytes.Buffer
	logger := safelog.Logger(slog.New(slog.NewTextHandler(&out, nil)))
	logger.Debug("below the level")
	logger.Info("a line", "key", "value")
	assert.Contains(t, out.String(), `msg="a line" key=value`)
	assert.NotContains(t, out.String(), "below")
}

func TestNilStaysNil(t *testing.T) {
	assert.Nil(t, safelog.Logger(nil))
}
