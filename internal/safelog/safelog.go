// Package safelog keeps the panics of a log's handler from whoever logs.
package safelog

import (
	"context"
	"log/slog"
)

// Logger returns a logger whose handler's panics reach nobody, nor do those of the
// handlers that With and WithGroup make of it. A goroutine of our own has no caller, so
// they would end the program.
func Logger(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return nil // an option that is wrong
	}
	return slog.New(handler{logger.Handler()})
}

// A handler does not panic.
type handler struct{ next slog.Handler }

func (h handler) Enabled(ctx context.Context, level slog.Level) (enabled bool) {
	defer func() { _ = recover() }()
	return h.next.Enabled(ctx, level)
}

func (h handler) Handle(ctx context.Context, record slog.Record) (err error) {
	defer func() { _ = recover() }()
	return h.next.Handle(ctx, record)
}

func (h handler) WithAttrs(attrs []slog.Attr) (with slog.Handler) {
	defer h.unlessItPanics(&with)
	return handler{h.next.WithAttrs(attrs)}
}

func (h handler) WithGroup(name string) (with slog.Handler) {
	defer h.unlessItPanics(&with)
	return handler{h.next.WithGroup(name)}
}

// unlessItPanics is deferred where another handler is made: what is logged then lacks
// what was to be added.
func (h handler) unlessItPanics(with *slog.Handler) {
	if recover() != nil {
		*with = h
	}
}
