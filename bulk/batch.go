package bulk

import (
	"context"
	"runtime"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// maxBatch is how many bytes of lines are gathered while others are written; then
	// Sends wait.
	maxBatch = 16 << 20
	// maxMessage bounds the lines of a message.
	maxMessage = 64 << 20
)

// A batch is what is written as one frame.
type batch struct {
	frame   []byte // with room for the header
	records int
	taken   chan struct{} // closed when nothing more is added
	stored  chan struct{} // closed when it is on the disk, or
	err     error         // why it is not
}

func newBatch(room []byte) *batch {
	return &batch{frame: append(room[:0], make([]byte, headerBytes)...), taken: make(chan struct{}), stored: make(chan struct{})}
}

// gather adds a message to the next batch, and returns when that is stored. While there
// is no room in it, ctx can end the wait.
func (s *Sender) gather(ctx context.Context, lines []byte, records int) error {
	for {
		b, added, err := s.add(lines, records)
		if err != nil {
			return err
		}
		if added {
			<-b.stored
			return b.err
		}
		select {
		case <-b.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Sender) add(lines []byte, records int) (b *batch, added bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b = s.gathering
	switch {
	case s.closed:
		return nil, false, kissmetrics.ErrClosed
	case s.accepted-s.delivered+int64(records) > s.config.maxRecords:
		return nil, false, ErrFull
	case len(b.frame) > maxBatch:
		return b, false, nil
	}
	b.frame = append(b.frame, lines...)
	b.records += records
	s.accepted += int64(records)
	notify(s.gathered)
	return b, true, nil
}

// write is the goroutine that has the open file to itself: it writes batches and does
// what else is asked for, until the sender is closed and no batch is left.
func (s *Sender) write() {
	defer close(s.written)
	for {
		select {
		case <-s.gathered:
			runtime.Gosched() // so that those that the last write woke share this one
			s.writeBatch()
		case do := <-s.commands:
			do()
		case <-s.ending:
			s.writeBatch()
			return
		}
	}
}

// writeBatch stores what has been gathered.
func (s *Sender) writeBatch() {
	s.mu.Lock()
	b := s.gathering
	if b.records == 0 {
		s.mu.Unlock()
		return
	}
	s.gathering = newBatch(s.spare)
	s.spare = nil
	s.mu.Unlock()
	close(b.taken)
	now := time.Now()
	sealFrame(b.frame, b.records, now)
	b.err = storageError(s.open.append(b.frame))
	s.mu.Lock()
	if b.err == nil {
		s.openContent.add(b.records, int64(len(b.frame)-headerBytes), now.UTC())
		s.stored += int64(b.records)
	} else {
		s.accepted -= int64(b.records)
	}
	first := s.openContent.records == int64(b.records)
	s.spare = b.frame[:0]
	if cap(s.spare) > 2*maxBatch {
		s.spare = nil
	}
	s.mu.Unlock()
	close(b.stored)
	if first {
		notify(s.changed)
	}
}

// notify wakes whoever waits for a channel with room for one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
