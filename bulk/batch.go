package bulk

import (
	"bytes"
	"cmp"
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
	frame    []byte                 // with room for the header
	messages [][]kissmetrics.Record // whose lines the frame does not have yet
	bytes    int                    // of all lines, at most
	claimed  int                    // of accepted
	taken    chan struct{}          // closed when nothing more is added
	stored   chan struct{}          // closed when it is on the disk, or is known not to be
	refused  map[int]error          // by the place of a message among them: why it is not
	err      error                  // why all others are not
}

func newBatch(room []byte, messages [][]kissmetrics.Record) *batch {
	return &batch{
		frame: append(room[:0], make([]byte, headerBytes)...), messages: messages[:0],
		taken: make(chan struct{}), stored: make(chan struct{}),
	}
}

// A message is what a Send adds to a batch: records, or their lines.
type message struct {
	records []kissmetrics.Record
	lines   []byte
	bytes   int // of the lines, at most
	claimed int // how many records have a line, if none is refused
}

// measured returns records as a message.
func measured(records []kissmetrics.Record) message {
	const (
		escaped   = 6  // bytes that JSON writes for one, at most
		around    = 64 // all but the texts of a line, at most
		separator = 6  // what stands around the texts of a property
	)
	m := message{records: records}
	for i := range records {
		r := &records[i]
		m.bytes += around + escaped*(len(r.Person)+len(r.Name))
		for j := range r.Properties {
			m.bytes += separator + escaped*(len(r.Properties[j].Name)+len(r.Properties[j].Value))
		}
		if r.Kind != kissmetrics.KindProperties || len(r.Properties) > 0 {
			m.claimed++
		}
	}
	return m
}

// gather adds a message to the next batch, and returns when that is stored. While there
// is no room in it, ctx can end the wait.
func (s *Sender) gather(ctx context.Context, m message) error {
	for {
		b, place, err := s.add(&m)
		if err != nil {
			_, invalid := appendLines(nil, m.records) // which would remain so
			return cmp.Or(invalid, err)
		}
		if place >= 0 {
			<-b.stored
			return cmp.Or(b.refused[place], b.err)
		}
		select {
		case <-b.taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// add adds a message to the next batch. The place is negative if there is no room.
func (s *Sender) add(m *message) (b *batch, place int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b = s.gathering
	switch {
	case s.closed:
		return nil, -1, kissmetrics.ErrClosed
	case s.accepted-s.delivered+int64(m.claimed) > s.config.maxRecords:
		return nil, -1, ErrFull
	case b.bytes > maxBatch:
		return b, -1, nil
	}
	if b.bytes == 0 {
		notify(s.gathered)
	}
	place = len(b.messages)
	b.messages = append(b.messages, m.records)
	b.frame = append(b.frame, m.lines...)
	b.bytes += m.bytes
	b.claimed += m.claimed
	s.accepted += int64(m.claimed)
	return b, place, nil
}

// complete adds the lines of all messages to the frame, and returns how many it has.
func (b *batch) complete() (records int) {
	for place, message := range b.messages {
		var err error
		if b.frame, err = appendLines(b.frame, message); err != nil {
			if b.refused == nil {
				b.refused = make(map[int]error)
			}
			b.refused[place] = err
		}
	}
	return bytes.Count(b.frame[headerBytes:], []byte("\n"))
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
	if b.bytes == 0 {
		s.mu.Unlock()
		return
	}
	s.gathering = newBatch(s.spare, s.spareMessages)
	s.spare, s.spareMessages = nil, nil
	s.mu.Unlock()
	close(b.taken)
	records, now := b.complete(), time.Now()
	if records > 0 {
		sealFrame(b.frame, records, now)
		b.err = storageError(s.open.append(b.frame))
	}
	if b.err != nil {
		records = 0
	}
	s.mu.Lock()
	first := records > 0 && s.openContent.records == 0
	if records > 0 {
		s.openContent.add(records, int64(len(b.frame)-headerBytes), now.UTC())
		s.stored += int64(records)
	}
	s.accepted -= int64(b.claimed - records)
	s.keepRoom(b)
	s.mu.Unlock()
	close(b.stored)
	if first {
		notify(s.changed)
	}
}

// keepRoom keeps the room of a batch for the next but one. The caller holds mu.
func (s *Sender) keepRoom(b *batch) {
	if cap(b.frame) <= 2*maxBatch {
		s.spare = b.frame
	}
	clear(b.messages)
	s.spareMessages = b.messages
}

// notify wakes whoever waits for a channel with room for one.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
