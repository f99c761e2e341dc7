package outbox

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/attempt"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/queue"
	"github.com/kissmetrics-go/kissmetrics/internal/tally"
)

const (
	// maxFlying and maxFlyingBytes bound what is read ahead and under way.
	maxFlying      = 2048
	maxFlyingBytes = 8 << 20
	// readAtOnce and readBytes are how much a query returns, or little more.
	readAtOnce = 512
	readBytes  = 1 << 20
	// gatherTime is how long what has been delivered may wait to be removed, and
	// gatherMost how many messages of it.
	gatherTime = 25 * time.Millisecond
	gatherMost = maxFlying / 4
	// afterFailure is how long to wait after a failure of the storage.
	afterFailure = time.Second
)

// Run delivers what is stored, and what comes, to the next sender until ctx ends.
// Then it cancels what is under way, waits for it, and returns nil. When the outbox is
// closed it returns [kissmetrics.ErrClosed]. The next sender is usually a
// [kissmetrics.HTTPSender], of which Run has each record tried once, since it tries
// again itself.
//
// It delivers by the rules of a [kissmetrics.Queue]: the records of a message in
// their order, messages in no particular one, holding back as a whole while
// deliveries fail, and as many under way as the server bears. What is
// delivered is removed. What is refused for good ([kissmetrics.Settle] says what is)
// is parked, and so is what something on the way ([kissmetrics.FailureRefused]) still
// refuses after this Run has tried it for a day. Each Run counts anew, for how long a
// message has waited does not say that it was tried: after days without a Run, or with
// no network, the first answer of a captive portal would otherwise park all that
// waits. Hence a program that is restarted more than once a day keeps trying such
// a message, and [Stats] shows its age (Oldest).
//
// Of several that run on one file, in one or in several processes, one delivers
// and the others wait. When it ends, even by a crash, another goes on, and may
// deliver again what was under way.
//
// A failure of the storage is logged, and Run goes on within seconds when that is
// over: when there is room on the disk again, or a file, a table or the lock that
// somebody has removed is there again, which a file that is the outbox's own
// brings about itself. If a shared file is damaged, or its tables are gone, Run
// returns a [*StorageError].
func (o *Outbox) Run(ctx context.Context, next kissmetrics.Sender) error {
	if nilness.IsNil(next) {
		return errNilNext
	}
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return kissmetrics.ErrClosed
	}
	o.runs.Add(1)
	o.mu.Unlock()
	defer o.runs.Done()
	ctx, cancel := context.WithCancel(nilness.Context(ctx))
	defer cancel()
	defer context.AfterFunc(o.ctx, cancel)()
	for ctx.Err() == nil {
		err := o.usable(ctx)
		if isDamaged(err) && o.config.shared && ctx.Err() == nil {
			return err
		}
		if err == nil {
			err = o.relay(ctx, next)
		}
		if err != nil && ctx.Err() == nil {
			o.config.logger.ErrorContext(ctx, "outbox: the relay could not go on, and tries again", "error", err)
			_ = pause(ctx, afterFailure)
		}
	}
	if o.ctx.Err() != nil {
		return kissmetrics.ErrClosed
	}
	return nil
}

// usable has a file that is broken repaired, which is the writer's.
func (o *Outbox) usable(ctx context.Context) error {
	if !o.broken.Load() {
		return nil
	}
	return o.writer.submit(ctx, &operation{do: func(context.Context, *file, *totals) error { return nil }})
}

// A relay delivers from one file until its context ends or the storage fails.
type relay struct {
	o       *Outbox
	next    kissmetrics.Sender
	frugal  bool // next is an HTTPSender, which keeps nothing of what it is given
	queue   *queue.Engine
	refused tally.Tally
	turn    int64 // the file's
	schema  int64 // the number of its schema when the relay began
	cursor  int64 // the last message that was read
	rows    []row // their room

	mu      sync.Mutex
	flights map[*queue.Message]*flight // by what the queue has of them
	flying  int                        // messages that are read and not settled
	bytes   int
	landed  []*flight
	changed chan struct{} // something has landed
	freed   chan struct{} // something has been settled
}

// A flight is a message under way. Where a part of it was delivered, that may be
// told while the rest is tried, so it changes under the relay's mu.
type flight struct {
	message    *queue.Message // what the queue has of it
	id         int64
	sum        uint32 // see sumOf
	bytes      int
	records    int
	delivered  int
	refused    []kissmetrics.Record
	reason     string
	unreadable bool // it is parked as it is
}

// relay waits until it is the one that delivers, and does.
func (o *Outbox) relay(ctx context.Context, next kissmetrics.Sender) error {
	o.fileMu.RLock()
	lock := o.lock
	o.fileMu.RUnlock()
	release, err := lock.reserve(ctx)
	if err != nil {
		return explain(o.path, err)
	}
	defer release()
	_, frugal := next.(*kissmetrics.HTTPSender)
	r := &relay{o: o, next: attempt.By(next), frugal: frugal, turn: o.turn.Load(), flights: map[*queue.Message]*flight{}, changed: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
	r.queue = queue.New(queue.Config{
		MaxRecords:    math.MaxInt, // bounded by what is read
		MaxBytes:      math.MaxInt,
		Ceiling:       o.config.workers,
		InitialWait:   o.config.initialBackoff,
		MaxWait:       o.config.maxBackoff,
		MaxRetryAfter: math.MaxInt64, // Settle bounds it
		NewCourier:    r.newCourier,
		Outage:        r.outage,
		Recovered:     r.recovered,
	})
	if r.schema, err = o.schema(ctx); err != nil {
		return err
	}
	settling, stopSettling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSettling()
	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	failed := make(chan error, 1)
	go func() {
		defer stopReading() // which may wait for room that nobody gives back any more
		failed <- r.settle(settling)
	}()
	err = r.read(reading)

	ended, end := context.WithCancel(context.Background())
	end()
	r.queue.Close(ended, func(queue.Left) {}) // what is left is still stored
	r.logRefused(r.refused.Rest(time.Now()))
	stopSettling()
	err = errors.Join(err, <-failed)
	if r.isOver() {
		return nil // the file is repaired, now that nobody relays
	}
	return err
}

// isOver reports whether the file is not the one of this relay any more, or will
// not be.
func (r *relay) isOver() bool { return r.o.broken.Load() || r.o.turn.Load() != r.turn }

// read hands over what is stored, as fast as it is delivered.
func (r *relay) read(ctx context.Context) error {
	for {
		if r.isOver() {
			return damaged("another file is in its place, or will be")
		}
		messages, err := r.more(ctx)
		if err != nil {
			return err
		}
		for i := range messages {
			m := &messages[i]
			r.cursor = m.id
			if err := r.take(ctx, m); err != nil {
				return err
			}
			*m = row{} // its lines are not needed any more
		}
		if len(messages) > 0 {
			continue
		}
		if err := r.rest(ctx); err != nil {
			return err
		}
	}
}

// A row is a message that was read.
type row struct {
	id      int64
	size    int // as it is stored
	sum     uint32
	records int
	lines   string
	err     error // why it cannot be read
}

// more reads the next messages, into the rows of those before.
func (r *relay) more(ctx context.Context) (rows []row, err error) {
	rows = r.rows[:0]
	err = r.o.read(ctx, func(f *file) error {
		found, err := f.waiting.QueryContext(ctx, r.cursor, readAtOnce)
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		var m row
		var message sql.RawBytes // which is not copied
		for size := 0; size < readBytes && found.Next(); size += m.size {
			if err := found.Scan(&m.id, &message); err != nil {
				return err
			}
			var s stored
			s, m.err = checked(message)
			m.size, m.sum, m.records, m.lines = len(message), sumOf(message), s.records, string(s.lines)
			rows = append(rows, m)
		}
		return found.Err()
	})
	if len(rows) > 0 && isDamaged(err) {
		err = nil // those first
	}
	r.rows = rows
	return rows, err
}

// take hands one message to the queue, when there is room.
func (r *relay) take(ctx context.Context, m *row) error {
	for !r.depart(m.size) {
		select {
		case <-r.freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	f := &flight{message: queue.NewMessage(m.lines, m.records, nil), id: m.id, sum: m.sum, bytes: m.size, records: m.records}
	if m.err == nil {
		r.mu.Lock()
		r.flights[f.message] = f
		r.mu.Unlock()
		return r.queue.Accept(ctx, f.message)
	}
	if errors.Is(m.err, errUnreadable) && !r.o.config.shared {
		err := damaged("a message cannot be read")
		r.o.breaks(err) // it may be that only its length is wrong: then it can be saved
		return err
	}
	r.unreadable(f, m.err)
	return nil
}

// rest waits until there may be more to read.
func (r *relay) rest(ctx context.Context) error {
	r.mu.Lock()
	idle := r.flying == 0
	r.mu.Unlock()
	if idle {
		if err := r.audit(ctx); err != nil {
			return err
		}
	}
	timer := time.NewTimer(pollInterval)
	defer timer.Stop()
	select {
	case <-r.o.stored:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// audit finds messages that are counted but cannot be found, or that were passed
// by, when nothing is under way.
func (r *relay) audit(ctx context.Context) error {
	var t totals
	var id sql.NullInt64
	err := r.o.read(ctx, func(f *file) error {
		// One query, for one moment.
		return f.db.QueryRowContext(ctx, "SELECT messages, records, bytes, (SELECT min(id) FROM kissmetrics_waiting) FROM kissmetrics_totals").
			Scan(&t.messages, &t.records, &t.bytes, &id)
	})
	switch {
	case err != nil:
		return err
	case id.Valid && id.Int64 <= r.cursor:
		r.cursor = id.Int64 - 1
	case id.Valid || t == totals{}:
	case t.messages > 0 && !r.o.config.shared:
		err := damaged("messages have disappeared")
		r.o.breaks(err)
		return err
	default: // what could not be read was counted as nobody knows what
		return r.o.writer.submit(ctx, r.operation(true, func(ctx context.Context, f *file, _ *totals) error {
			_, err := f.writer.ExecContext(ctx, `UPDATE kissmetrics_totals SET messages = 0, records = 0, bytes = 0
				WHERE NOT EXISTS (SELECT 1 FROM kissmetrics_waiting)`)
			return err
		}))
	}
	return nil
}

// depart makes room for a message, if there is any. One alone always has it.
func (r *relay) depart(bytes int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flying > 0 && (r.flying >= maxFlying || r.bytes+bytes > maxFlyingBytes) {
		return false
	}
	r.flying++
	r.bytes += bytes
	return true
}

// land gives the room of messages back.
func (r *relay) land(flights ...*flight) {
	r.mu.Lock()
	r.flying -= len(flights)
	for _, f := range flights {
		r.bytes -= f.bytes
	}
	r.mu.Unlock()
	notify(r.freed)
}

// flight returns that of a message.
func (r *relay) flight(m *queue.Message) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flights[m]
}

// note takes down what became of records of a message.
func (r *relay) note(f *flight, outcome kissmetrics.Outcome) {
	if len(outcome.Delivered)+len(outcome.Refused) == 0 {
		return // and f may have landed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	f.delivered += len(outcome.Delivered)
	if len(outcome.Refused) > 0 {
		f.refused, f.reason = append(f.refused, outcome.Refused...), outcome.Reason
	}
	if f.delivered+len(f.refused) == f.records {
		r.lands(f)
	}
}

// unreadable has a message that cannot be read parked as it is.
func (r *relay) unreadable(f *flight, why error) {
	r.o.config.logger.Error("outbox: a stored message cannot be read, and is parked", "id", f.id)
	r.mu.Lock()
	defer r.mu.Unlock()
	f.unreadable, f.reason = true, "unreadable: "+why.Error()
	r.lands(f)
}

// lands notes that every record of a message has got its outcome. The caller has mu.
func (r *relay) lands(f *flight) {
	delete(r.flights, f.message)
	r.landed = append(r.landed, f)
	if n := len(r.landed); n == 1 || n == r.flying || n == gatherMost { // see gather
		notify(r.changed)
	}
}
