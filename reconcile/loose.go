package reconcile

import (
	"cmp"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// leave keeps a record for the second pass. If that finds nothing either, the
// difference is of the kind.
func (c *comparison) leave(r kissmetrics.Record, kind Kind) error {
	return c.leaveFor(c.lost, &r, kind)
}

// leaveRows keeps rows that are exported for the second pass.
func (c *comparison) leaveRows(rows []*item) error {
	for _, row := range rows {
		if row.record.Kind == kissmetrics.KindAlias {
			c.update(func(counts *Counts) { counts.Unsent++ })
			continue
		}
		if err := c.leaveFor(c.extra, &row.record, 0); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) leaveFor(to *spill, r *kissmetrics.Record, kind Kind) error {
	c.packed = pack(append(c.packed[:0], byte(kind)), r)
	group, key := c.keyer.loose(r, c.people)
	return to.add(entry{group, key, c.packed})
}

// A loosened is an entry of the second pass.
type loosened struct {
	*located
	person uint64
	second int64
}

// looseGroup pairs what says the same but for the time, the end of values, and
// which identity of a person it is.
func (c *comparison) looseGroup(group []located) error {
	var sides [2][]loosened
	for i := range group {
		l := &group[i]
		sides[l.side] = append(sides[l.side], loosened{l, l.key[0], int64(l.key[1])}) //nolint:gosec // as it was
	}
	lost, rows := sides[Sent], sides[Exported]
	bySecond := func(a, b loosened) int { return cmp.Compare(a.second, b.second) }
	byPerson := func(a, b loosened) int { return cmp.Or(cmp.Compare(a.person, b.person), bySecond(a, b)) }
	shift := int64(c.config.maxShift / time.Second)
	var err error
	for _, round := range []struct {
		order      func(a, b loosened) int
		samePerson bool
		shift      int64
	}{{bySecond, false, 0}, {byPerson, true, shift}, {bySecond, false, shift}} {
		slices.SortStableFunc(lost, round.order)
		slices.SortStableFunc(rows, round.order)
		if lost, rows, err = c.pairInOrder(lost, rows, round.samePerson, round.shift); err != nil {
			return err
		}
	}
	for _, l := range lost {
		if err := c.leaveLast(c.lost, c.data(l.located)); err != nil {
			return err
		}
	}
	for _, row := range rows {
		if err := c.leaveLast(c.extra, c.data(row.located)); err != nil {
			return err
		}
	}
	return nil
}

// skipLoose keeps a part that is too large to be paired for the last pass.
func (c *comparison) skipLoose(sent, exported *spill, index int) error {
	c.update(func(counts *Counts) { counts.Unpaired += sent.parts[index].count })
	if err := sent.each(index, func(e entry) error { return c.leaveLast(c.lost, e.data) }); err != nil {
		return err
	}
	return exported.each(index, func(e entry) error { return c.leaveLast(c.extra, e.data) })
}

// leaveLast keeps what found no partner for the last pass.
func (c *comparison) leaveLast(to *spill, data []byte) error {
	r := unpack(data[1:])
	return to.add(entry{c.keyer.like(&r), [2]uint64{}, data})
}

// likeGroup pairs events of one person, name and second of which a part is the same.
// This comes last, so that no row is taken for what it is like that says the same as
// another. What finds no partner here is missing.
func (c *comparison) likeGroup(group []located) error {
	var sides [2][]*item
	for i := range group {
		sides[group[i].side] = append(sides[group[i].side], newItem(c.data(&group[i])[1:]))
	}
	if err := c.pairEvents(sides[Sent], sides[Exported], byPart); err != nil {
		return err
	}
	n := 0
	for i := range group {
		if group[i].side == Exported {
			continue
		}
		if s := sides[Sent][n]; !s.paired {
			if err := c.tell(Difference{Kind: Kind(c.data(&group[i])[0]), Sent: s.record}); err != nil {
				return err
			}
		}
		n++
	}
	unsent := len(slices.DeleteFunc(sides[Exported], func(row *item) bool { return row.paired }))
	c.update(func(counts *Counts) { counts.Unsent += int64(unsent) })
	return nil
}

// pairInOrder pairs each record that was lost with the first row that is left and
// not further than shift away, and returns what finds none.
func (c *comparison) pairInOrder(lost, rows []loosened, samePerson bool, shift int64) (lone, loneRows []loosened, err error) {
	for len(lost) > 0 && len(rows) > 0 {
		l, r := lost[0], rows[0]
		order := 0
		if samePerson {
			order = cmp.Compare(l.person, r.person)
		}
		if distance := l.second - r.second; order == 0 && distance > shift {
			order = 1
		} else if order == 0 && distance < -shift {
			order = -1
		}
		if order <= 0 {
			lost = lost[1:]
		}
		if order >= 0 {
			rows = rows[1:]
		}
		switch {
		case order < 0:
			lone = append(lone, l)
		case order > 0:
			loneRows = append(loneRows, r)
		default:
			if err := c.tellLoose(l, r); err != nil {
				return nil, nil, err
			}
		}
	}
	return append(lone, lost...), append(loneRows, rows...), nil
}

// tellLoose tells of a record that was paired in the second pass.
func (c *comparison) tellLoose(l, row loosened) error {
	d := Difference{Sent: unpack(c.data(l.located)[1:]), Exported: unpack(c.data(row.located)[1:])}
	like := compareProperties(appendFolded(nil, d.Sent.Properties), appendFolded(nil, d.Exported.Properties))
	d.Changes, d.Properties = like.changes(), like.names(d.Sent, d.Exported)
	if l.person != row.person {
		d.Changes |= Merged
	}
	if l.second != row.second {
		d.Changes |= Moved
	}
	return c.tellAltered(d)
}
