// Package safelog keeps the panics of a log's handler from whoever logs.
package safelog

import (
	"context"
	"log/slog"
)

// Logger returns a logger whose handler's panics reach nobody. A goroutine of our own
// has no caller, so they would end the program.
func Logger(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return nil // an option that is wrong
	}
	return slog.New(handler{logger.Handler()})
}

// A handler does not panic. It is only asked to handle.
type handler struct{ slog.Handler }

func (h handler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return h.Handler.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, record slog.Record) (err error) {
	defer func() { _ = recover() }()
	return h.Handler.Handle(ctx, record)
}
