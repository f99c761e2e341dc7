package reconcile

import (
	"cmp"
	"errors"
	"slices"
)

// A located is an entry in the arena.
type located struct {
	group uint64
	key   [2]uint64
	at, n uint32 // the data
	side  Side
}

const locatedBytes = 40

// data returns the packed record of an entry.
func (c *comparison) data(l *located) []byte { return c.arena[l.at : l.at+l.n] }

// pass compares two spills part by part, and in each, group by group. The entries
// of a group are in the order of their keys, and those of one key in that of the
// sides.
func (c *comparison) pass(sent, exported *spill, compare func(group []located) error) error {
	for i := range sent.parts {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		s, e := &sent.parts[i], &exported.parts[i]
		var err error
		if s.bytes+e.bytes+locatedBytes*(s.count+e.count) > c.config.room() {
			err = c.passFiner(sent, exported, i, compare)
		} else {
			err = c.passPart(sent, exported, i, compare)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// passFiner compares a part that is too large to be compared at a time.
func (c *comparison) passFiner(sent, exported *spill, index int, compare func(group []located) error) error {
	var finer [2]*spill
	defer func() { closeAll(finer[:]) }()
	var err error
	for i, side := range []*spill{sent, exported} {
		finer[i], err = side.divide(&c.config, index)
		if errors.Is(err, ErrGroupTooLarge) && c.tooLarge != nil {
			return c.tooLarge(sent, exported, index)
		} else if err != nil {
			return err
		}
	}
	return c.pass(finer[0], finer[1], compare)
}

// passPart compares a part.
func (c *comparison) passPart(sent, exported *spill, index int, compare func(group []located) error) error {
	c.entries = c.entries[:0]
	c.arena = slices.Grow(c.arena[:0], int(sent.parts[index].bytes+exported.parts[index].bytes))
	for side, s := range []*spill{sent, exported} {
		start := len(c.arena)
		var err error
		if c.arena, err = s.load(c.arena, index); err != nil {
			return err
		}
		c.locate(start, Side(side)) //nolint:gosec // 0 or 1
	}
	slices.SortFunc(c.entries, func(a, b located) int {
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.key[0], b.key[0]), cmp.Compare(a.key[1], b.key[1]), cmp.Compare(a.at, b.at))
	})
	for rest := c.entries; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].group == rest[0].group {
			n++
		}
		if err := compare(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// locate lists the entries that were loaded.
func (c *comparison) locate(start int, side Side) {
	for rest := c.arena[start:]; len(rest) > 0; {
		var e entry
		e, rest = readEntry(rest)
		end := len(c.arena) - len(rest)
		//nolint:gosec // a part is smaller than 4 GiB
		c.entries = append(c.entries, located{e.group, e.key, uint32(end - len(e.data)), uint32(len(e.data)), side})
	}
}

// exactGroup pairs what is equal of one person and second, and settles the rest.
func (c *comparison) exactGroup(group []located) error {
	var lost, extra []located
	var arrived, repeats int64
	for rest := group; len(rest) > 0; {
		sent, exported := 0, 0
		for n := range rest {
			if rest[n].key != rest[0].key {
				break
			}
			if rest[n].side == Sent {
				sent++
			} else {
				exported++
			}
		}
		repeats += int64(max(sent-1, 0))
		switch {
		case exported == 0:
			lost = append(lost, rest[0])
		case sent == 0:
			extra = append(extra, rest[:exported]...)
		default:
			arrived++
			if err := c.twice(&rest[0], &rest[sent], exported); err != nil {
				return err
			}
		}
		rest = rest[sent+exported:]
	}
	c.update(func(counts *Counts) { counts.Arrived += arrived; counts.Repeats += repeats })
	if len(lost)+len(extra) == 0 {
		return nil
	}
	return c.settle(group, lost, extra)
}
