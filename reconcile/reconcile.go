package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// ErrGroupTooLarge says that records which have to be compared with each other, all
// of one person and second, take more room than a quarter of the memory.
var ErrGroupTooLarge = errors.New("reconcile: the records of one person and second do not fit into the memory")

// A Reconciler compares what was sent with what is exported.
type Reconciler struct {
	config     config
	read       [2]atomic.Int64 // records of a side
	unreadable [2]atomic.Int64

	mu     sync.Mutex
	counts Counts
}

// New returns a Reconciler. The error, if any, wraps [kissmetrics.ErrInvalidOption].
func New(options ...Option) (*Reconciler, error) {
	c, err := configure(options)
	if err != nil {
		return nil, err
	}
	return &Reconciler{config: c}, nil
}

// Counts returns what was counted so far: all of it when the loop over
// [Reconciler.Differences] has ended by itself. It is safe for concurrent use.
func (r *Reconciler) Counts() Counts {
	r.mu.Lock()
	c := r.counts
	r.mu.Unlock()
	c.Sent, c.Exported = r.read[Sent].Load(), r.read[Exported].Load()
	c.UnreadableSent, c.UnreadableExported = r.unreadable[Sent].Load(), r.unreadable[Exported].Load()
	return c
}

// update changes the counts.
func (r *Reconciler) update(f func(c *Counts)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.counts)
}

// Differences returns the differences between the records that were sent and those
// that are exported. Their order says nothing, but it is the same for the same
// records.
//
// Both sequences are read to their ends before the first difference, on a goroutine
// each, which have ended when the loop does. An error that wraps a
// [*kissmetrics.ValidationError] is a line that cannot be read: it is counted, and
// what is behind it goes on. Any other error of a sequence ends the loop, and so
// does ctx; it is then the last error, and the counts are not complete.
//
// Each loop compares anew and begins the counts anew. A Reconciler is for one loop
// at a time.
func (r *Reconciler) Differences(ctx context.Context, sent, exported iter.Seq2[kissmetrics.Record, error]) iter.Seq2[Difference, error] {
	return func(yield func(Difference, error) bool) {
		r.update(func(c *Counts) { *c = Counts{} })
		for side := range r.read {
			r.read[side].Store(0)
			r.unreadable[side].Store(0)
		}
		c := comparison{Reconciler: r, ctx: nilness.Context(ctx), yield: yield}
		if err := c.run(sent, exported); err != nil && !errors.Is(err, errStopped) {
			yield(Difference{}, err)
		}
	}
}

// errStopped says that the loop over the differences was left.
var errStopped = errors.New("stopped")

// A comparison is one loop over differences.
type comparison struct {
	*Reconciler
	ctx   context.Context
	yield func(Difference, error) bool

	people      *aliases
	keyer       keyer
	lost, extra *spill                                       // what found no partner in this pass, for the next
	tooLarge    func(sent, exported *spill, index int) error // takes a part of one group; nil fails
	arena       []byte
	entries     []located
	packed      []byte
}

// tell yields a difference, and counts it.
func (c *comparison) tell(d Difference) error {
	c.update(func(counts *Counts) { counts.count(&d) })
	if !c.yield(d, nil) {
		return errStopped
	}
	return nil
}

// tellAltered tells of a record whose row says something else. One that has no changes
// has arrived: a number is written in another way, or a part of it arrived in other
// rows, and the rest in this.
func (c *comparison) tellAltered(d Difference) error {
	if d.Changes == 0 {
		c.update(func(counts *Counts) { counts.Arrived++ })
		return nil
	}
	d.Kind = Altered
	return c.tell(d)
}

func (c *comparison) run(sent, exported iter.Seq2[kissmetrics.Record, error]) error {
	spills, err := c.takeIn(sent, exported)
	defer func() { closeAll(spills[:]) }()
	if err != nil {
		return err
	}
	for _, pass := range []struct {
		compare  func(group []located) error
		tooLarge func(sent, exported *spill, index int) error
	}{{c.exactGroup, nil}, {c.looseGroup, c.skipLoose}, {c.likeGroup, nil}} {
		c.tooLarge = pass.tooLarge
		left, err := c.passAll(spills, pass.compare)
		closeAll(spills[:])
		if spills = left; err != nil {
			return err
		}
	}
	return nil
}

// passAll compares two spills, and returns what found no partner.
func (c *comparison) passAll(spills [2]*spill, compare func([]located) error) (left [2]*spill, err error) {
	whole := false
	defer func() {
		if !whole { // also where the caller's loop panics
			closeAll(left[:])
		}
	}()
	for i := range left {
		if left[i], err = newSpill(&c.config, 0); err != nil {
			return left, err
		}
	}
	c.lost, c.extra = left[Sent], left[Exported]
	if err := c.pass(spills[Sent], spills[Exported], compare); err != nil {
		return left, err
	}
	for _, s := range left {
		if err := s.finish(); err != nil { // once, where both have the same to say
			return left, err
		}
	}
	whole = true
	return left, nil
}

func closeAll(spills []*spill) {
	for i, s := range spills {
		if s != nil {
			s.close()
			spills[i] = nil
		}
	}
}

// takeIn writes both sides to temporary files, at the same time.
func (c *comparison) takeIn(sent, exported iter.Seq2[kissmetrics.Record, error]) (spills [2]*spill, err error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	var people [2]*aliases
	var errs [2]error
	var both sync.WaitGroup
	for i := range spills { // before anything runs that would have to be waited for
		people[i] = newAliases(c.config.memory / 8)
		if spills[i], err = newSpill(&c.config, 0); err != nil {
			return spills, err
		}
	}
	for i, records := range [2]iter.Seq2[kissmetrics.Record, error]{sent, exported} {
		both.Go(func() {
			if errs[i] = c.takeInSide(ctx, Side(i), records, spills[i], people[i]); errs[i] != nil { //nolint:gosec // 0 or 1
				cancel() // the other side is of no use
			}
		})
	}
	both.Wait()
	for i, err := range errs {
		if err != nil && (!errors.Is(err, context.Canceled) || errs[1-i] == nil || c.ctx.Err() != nil) {
			return spills, err
		}
	}
	c.people = join(people[0], people[1])
	c.update(func(counts *Counts) { counts.UnusedAliases = c.people.unused })
	return spills, errors.Join(errs[0], errs[1])
}

// takeInSide writes one side to a temporary file.
func (c *comparison) takeInSide(ctx context.Context, side Side, records iter.Seq2[kissmetrics.Record, error], to *spill, people *aliases) (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("reconcile: what gives the records that were %s panicked", side)
		}
	}()
	var k keyer
	var packed []byte
	n := 0
	for record, err := range records {
		if n++; n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			if _, isLine := errors.AsType[*kissmetrics.ValidationError](err); !isLine {
				return fmt.Errorf("reconcile: reading what was %s: %w", side, err)
			}
			c.unreadable[side].Add(1)
			c.config.onLine(side, err)
			continue
		}
		if record.Kind == kissmetrics.KindAlias {
			people.add(identityHash(record.Person), identityHash(record.Name))
		}
		packed = pack(packed[:0], &record)
		group, key := k.exact(&record)
		if err := to.add(entry{group, key, packed}); err != nil {
			return err
		}
		c.read[side].Add(1)
	}
	return errors.Join(ctx.Err(), to.finish())
}
