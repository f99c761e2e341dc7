package main

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/kissmetrics-go/kissmetrics"
)

// windowBytes bounds the lines that were read and have no outcome yet.
const windowBytes = 16 << 20

// counts count lines, except for Records.
type counts struct {
	Sent    int64 `json:"sent"`
	Changed int64 `json:"adjusted,omitempty"` // of those sent
	Refused int64 `json:"refused"`
	Ignored int64 `json:"ignored"`
	Records int64 `json:"records"` // delivered or written
}

// state says what became of every line up to a certain one.
type state struct {
	counts

	Line         int64            `json:"line"`
	Offset       int64            `json:"offset"` // after that line, uncompressed
	Reasons      map[string]int64 `json:"reasons,omitempty"`
	Adjustments  map[string]int64 `json:"adjustments,omitempty"` // by kind
	RefusedBytes int64            `json:"refused_bytes"`         // of the file of refused lines
}

// An entry is a line that waits for its outcome.
type entry struct {
	line
	left     int      // records without an outcome
	taken    int      // records delivered or written
	ignored  bool     // blank, or not for Kissmetrics
	reasons  []string // why the line, or some of its records, were refused
	adjusted []kissmetrics.Adjustment
	held     int64 // its share of the window
	next     *entry
}

// A tracker knows which lines have an outcome. Outcomes come in any order; the
// state covers the lines before the first that has none.
type tracker struct {
	room *semaphore.Weighted

	mu          sync.Mutex
	first, last *entry // from the first line without an outcome on
	state       state
	refused     []*entry // covered by the state, but not yet written to their file
	live        counts   // of all lines that have an outcome
	raw         int64    // how much of the input the state covers
}

func newTracker(s state) *tracker {
	return &tracker{room: semaphore.NewWeighted(windowBytes), state: s, live: s.counts}
}

// add adds the next line, as soon as there is room for it.
func (t *tracker) add(ctx context.Context, e *entry) error {
	e.held = min(int64(cap(e.text))+512, windowBytes)
	if err := t.room.Acquire(ctx, e.held); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.first == nil {
		t.first = e
	} else {
		t.last.next = e
	}
	t.last = e
	if e.left == 0 {
		t.settle(e)
	}
	return nil
}

// result records what became of some of a line's records: if refused is empty they
// were delivered or written, otherwise it is the reason.
func (t *tracker) result(e *entry, records int, refused string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if refused == "" {
		e.taken += records
	} else if !slices.Contains(e.reasons, refused) {
		e.reasons = append(e.reasons, refused)
	}
	if e.left -= records; e.left == 0 {
		t.settle(e)
	}
}

// settle counts a line that has an outcome, and advances the state.
func (t *tracker) settle(e *entry) {
	t.live.add(e)
	if len(e.reasons) == 0 {
		e.text = nil // no longer needed
	}
	for t.first != nil && t.first.left == 0 {
		e := t.first
		t.first, e.next = e.next, nil
		t.room.Release(e.held)
		t.state.add(e)
		t.state.Line, t.state.Offset, t.raw = e.number, e.end, e.raw
		if len(e.reasons) > 0 {
			t.refused = append(t.refused, e)
			t.state.because(e.reasons)
		} else {
			t.state.adjusted(e.adjusted)
		}
	}
}

func (c *counts) add(e *entry) {
	c.Records += int64(e.taken)
	switch {
	case len(e.reasons) > 0:
		c.Refused++
	case e.ignored:
		c.Ignored++
	default:
		c.Sent++
		if len(e.adjusted) > 0 {
			c.Changed++
		}
	}
}

// mostReasons bounds the reasons that are counted separately.
const mostReasons = 50

var names = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// because counts reasons, without the names that they quote.
func (s *state) because(reasons []string) {
	if s.Reasons == nil {
		s.Reasons = map[string]int64{}
	}
	for _, reason := range reasons {
		reason = names.ReplaceAllString(reason, `"…"`)
		if _, ok := s.Reasons[reason]; !ok && len(s.Reasons) >= mostReasons {
			reason = "other reasons"
		}
		s.Reasons[reason]++
	}
}

// adjusted counts adjustments by their kind.
func (s *state) adjusted(adjustments []kissmetrics.Adjustment) {
	if s.Adjustments == nil && len(adjustments) > 0 {
		s.Adjustments = map[string]int64{}
	}
	for _, a := range adjustments {
		s.Adjustments[string(a.Kind)]++
	}
}

// take returns the state, and the refused lines it covers that were not taken
// before.
func (t *tracker) take() ([]*entry, state) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused, s := t.refused, t.state
	t.refused = nil
	s.Reasons, s.Adjustments = maps.Clone(s.Reasons), maps.Clone(s.Adjustments)
	return refused, s
}

// takeRefused is take without the state.
func (t *tracker) takeRefused() []*entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := t.refused
	t.refused = nil
	return refused
}

// idle reports whether every line that was added has an outcome.
func (t *tracker) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.first == nil
}

// progress returns the counts so far, and how much of the input the state covers.
func (t *tracker) progress() (live counts, raw int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.live, t.raw
}
