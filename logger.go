package kissmetrics

import (
	"context"
	"log/slog"
)

// containedLogger returns a logger whose handler's panics reach nobody: a worker of
// a queue has no caller, so that they would end the program.
func containedLogger(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return nil // an option that is wrong
	}
	return slog.New(containedHandler{logger.Handler()})
}

// containedHandler is a handler that does not panic. It is only asked to handle.
type containedHandler struct{ slog.Handler }

func (h containedHandler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

func (h containedHandler) Handle(ctx context.Context, record slog.Record) (err error) {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, record)
}
