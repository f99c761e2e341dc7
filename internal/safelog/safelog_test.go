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

// derives is a handler that panics when others are made of it, or that makes what
// panics when it handles a record.
type derives struct {
	slog.Handler

	with func() slog.Handler
}

func (d derives) WithAttrs([]slog.Attr) slog.Handler { return d.with() }
func (d derives) WithGroup(string) slog.Handler      { return d.with() }

func TestWhatIsMadeOfAHandlerThatPanicsReachesNobodyEither(t *testing.T) {
	for name, test := range map[string]struct {
		with   func() slog.Handler
		logged bool
	}{
		"the making panics": {func() slog.Handler { panic("with") }, true},
		"what is made does": {func() slog.Handler { return handles{} }, false},
		"nothing is made":   {func() slog.Handler { return nil }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger := safelog.Logger(slog.New(derives{slog.NewTextHandler(&out, nil), test.with}))
			assert.NotPanics(t, func() {
				logger.With("a", 1).Info("attributes")
				logger.WithGroup("g").Info("group")
				logger.With("a", 1).WithGroup("g").With("b", 2).Info("both")
			})
			assert.Equal(t, test.logged, out.Len() > 0, out.String())
		})
	}
}

func TestWhatDoesNotPanicIsLogged(t *testing.T) {
	var out bytes.Buffer
	logger := safelog.Logger(slog.New(slog.NewTextHandler(&out, nil)))
	logger.Debug("below the level")
	logger.With("own", 1).WithGroup("group").Info("a line", "key", "value")
	assert.Contains(t, out.String(), `msg="a line" own=1 group.key=value`)
	assert.NotContains(t, out.String(), "below")
}

func TestNilStaysNil(t *testing.T) {
	assert.Nil(t, safelog.Logger(nil))
}
