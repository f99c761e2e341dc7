// Package lifetime ends what runs on behalf of something that is closed.
package lifetime

import (
	"context"
	"sync"
)

// A Lifetime lasts until it is closed. It is safe for concurrent use.
type Lifetime struct {
	closed chan struct{}

	mu   sync.Mutex
	runs map[*run]struct{}
}

// A run is something that began and has not ended.
type run struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// New returns a lifetime that has begun.
func New() *Lifetime {
	return &Lifetime{closed: make(chan struct{}), runs: make(map[*run]struct{})}
}

// Closed returns a channel that is closed when the lifetime is.
func (l *Lifetime) Closed() <-chan struct{} { return l.closed }

// IsClosed reports whether the lifetime is closed.
func (l *Lifetime) IsClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// Begin begins something that ends with the lifetime: its context does. The caller
// calls end when it has ended. If the lifetime is closed, ok is false.
func (l *Lifetime) Begin(ctx context.Context) (running context.Context, end func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.IsClosed() {
		return nil, nil, false
	}
	running, cancel := context.WithCancel(ctx)
	r := &run{cancel: cancel, done: make(chan struct{})}
	l.runs[r] = struct{}{}
	return running, func() {
		cancel()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.runs, r)
		close(r.done)
	}, true
}

// Close closes the lifetime, if it is not closed yet, and waits for everything that
// began in it to end, or for ctx, whose error it then returns.
func (l *Lifetime) Close(ctx context.Context) error {
	l.mu.Lock()
	if !l.IsClosed() {
		close(l.closed)
	}
	var running []*run
	for r := range l.runs {
		r.cancel()
		running = append(running, r)
	}
	l.mu.Unlock()
	for _, r := range running {
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
