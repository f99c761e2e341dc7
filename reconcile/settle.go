package reconcile

import (
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
)

// An item is a record that found no equal.
type item struct {
	record     kissmetrics.Record
	name       string // folded
	properties []folded
	paired     bool
}

func newItem(data []byte) *item {
	r := unpack(data)
	return &item{record: r, name: foldName(r.Name), properties: appendFolded(nil, r.Properties)}
}

func (c *comparison) items(entries []located) []*item {
	items := make([]*item, len(entries))
	for i := range entries {
		items[i] = newItem(c.data(&entries[i]))
	}
	return items
}

// A moment is what was said of one person in one second.
type moment struct {
	values map[Side]map[string][]value // by folded name
	events map[string]bool             // folded names of those that are exported
}

func (c *comparison) moment(group []located) *moment {
	m := &moment{map[Side]map[string][]value{Sent: {}, Exported: {}}, map[string]bool{}}
	for i := range group {
		said := newItem(c.data(&group[i]))
		if group[i].side == Exported && said.record.Kind == kissmetrics.KindEvent {
			m.events[said.name] = true
		}
		values := m.values[group[i].side]
		for _, p := range said.properties {
			if !slices.Contains(values[p.name], p.value) {
				values[p.name] = append(values[p.name], p.value)
			}
		}
	}
	return m
}

// twice tells of a record that is exported more than once.
func (c *comparison) twice(sent, exported *located, rows int) error {
	if rows == 1 {
		return nil
	}
	r := unpack(c.data(sent))
	if r.Kind == kissmetrics.KindAlias {
		return nil
	}
	return c.tell(Difference{Kind: Twice, Sent: r, Exported: unpack(c.data(exported)), Rows: rows})
}

// settle decides what became of the records of one person and second that found no
// equal.
func (c *comparison) settle(group, lost, extra []located) error {
	sent, rows := c.items(lost), c.items(extra)
	if len(lost) == 0 && len(extra) == len(group) {
		return c.leaveRows(rows) // the other side says nothing at all
	}
	m := c.moment(group)
	if err := c.pairEvents(sent, rows, butCut, butLost); err != nil {
		return err
	}
	for _, s := range sent {
		if s.paired {
			continue
		}
		if err := c.settleOne(s, m); err != nil {
			return err
		}
	}
	rows = slices.DeleteFunc(rows, func(row *item) bool {
		return row.paired || row.record.Kind == kissmetrics.KindProperties && m.said(row.properties)
	})
	return c.leaveRows(rows)
}

// settleOne decides what became of a record that was not paired.
func (c *comparison) settleOne(s *item, m *moment) error {
	switch s.record.Kind {
	case kissmetrics.KindAlias:
		return c.tell(Difference{Kind: Missing, Sent: s.record})
	case kissmetrics.KindEvent:
		if m.events[s.name] {
			return c.leave(s.record, Dropped)
		}
		return c.leave(s.record, Missing)
	}
	rest, kind, cut := m.remainder(s.record)
	switch {
	case len(rest.Properties) > 0:
		return c.leave(rest, kind)
	case len(cut) > 0:
		return c.tell(Difference{Kind: Altered, Changes: Cut, Sent: s.record, Properties: cut})
	}
	c.update(func(counts *Counts) { counts.Arrived++ })
	return nil
}

// remainder returns what is not exported of a record of properties, whether that is
// missing or was dropped, and the names of the values that were cut.
func (m *moment) remainder(r kissmetrics.Record) (rest kissmetrics.Record, kind Kind, cut []string) {
	kind = Dropped
	rest = r
	rest.Properties = nil
	for _, p := range r.Properties {
		sent, exported := value{p.Value, p.Literal}, m.values[Exported][foldName(p.Name)]
		switch {
		case slices.ContainsFunc(exported, func(e value) bool { return sent.is(e.text) }):
		case slices.ContainsFunc(exported, func(e value) bool { return sent.isCut(e.text) }):
			cut = append(cut, p.Name)
		case len(exported) > 0:
			rest.Properties = append(rest.Properties, p)
		default:
			kind = Missing
			rest.Properties = append(rest.Properties, p)
		}
	}
	return rest, kind, cut
}

// said reports whether properties that are exported were sent, in any records.
func (m *moment) said(properties []folded) bool {
	return len(properties) > 0 && !slices.ContainsFunc(properties, func(p folded) bool {
		return !slices.ContainsFunc(m.values[Sent][p.name], func(s value) bool { return s.is(p.text) || s.isCut(p.text) })
	})
}

// maxCompared bounds with how many events of its name and second one is compared.
const maxCompared = 64

// A match says how like a row must be to be taken for what was sent.
type match int

const (
	butCut  match = iota // at most the ends of values differ
	butLost              // or properties are missing
	byPart               // or values are others, as long as one is not
)

// pairEvents pairs events of one person, name and second: each row with the one that
// is most like it, if any is like enough.
func (c *comparison) pairEvents(sent, rows []*item, matches ...match) error {
	for _, m := range matches {
		for _, row := range rows {
			best := closest(sent, row, m)
			if best == nil {
				continue
			}
			best.paired, row.paired = true, true
			l := compareProperties(best.properties, row.properties)
			if err := c.tellAltered(Difference{
				Changes: l.changes(), Sent: best.record, Exported: row.record, Properties: l.names(best.record, row.record),
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// closest returns the event that was sent and is most like an exported row, or nil.
func closest(sent []*item, row *item, m match) (best *item) {
	if row.paired || row.record.Kind != kissmetrics.KindEvent {
		return nil
	}
	compared, bestScore := 0, 0
	for _, s := range sent {
		if s.paired || s.record.Kind != kissmetrics.KindEvent || s.name != row.name {
			continue
		}
		if compared++; compared > maxCompared {
			break
		}
		l := compareProperties(s.properties, row.properties)
		score := l.same + len(l.cut) - 1000*l.conflicts
		if l.is(m, row) && (best == nil || score > bestScore) {
			best, bestScore = s, score
		}
	}
	return best
}

// is reports whether a row is like enough. One that has lost all its properties is,
// but one of which all differ is another.
func (l likeness) is(m match, row *item) bool {
	switch {
	case m == butCut:
		return l.changes()&^Cut == 0
	case m == butLost && l.conflicts > 0:
		return false
	}
	return l.same > 0 || len(l.cut) > 0 || len(row.properties) == 0
}

// A likeness says how the properties of two records compare.
type likeness struct {
	same, conflicts int
	cut, other      []string // folded names
}

// compareProperties compares two lists of properties, each in order.
func compareProperties(sent, exported []folded) (l likeness) {
	for len(sent) > 0 || len(exported) > 0 {
		var order int
		switch {
		case len(sent) == 0:
			order = 1
		case len(exported) == 0:
			order = -1
		default:
			order = strings.Compare(sent[0].name, exported[0].name)
		}
		switch {
		case order < 0:
			l.other = append(l.other, sent[0].name)
			sent = sent[1:]
			continue
		case order > 0:
			l.other = append(l.other, exported[0].name)
			l.conflicts++ // nothing is ever added
			exported = exported[1:]
			continue
		case sent[0].is(exported[0].text):
			l.same++
		case sent[0].isCut(exported[0].text):
			l.cut = append(l.cut, sent[0].name)
		default:
			l.conflicts++
			l.other = append(l.other, sent[0].name)
		}
		sent, exported = sent[1:], exported[1:]
	}
	return l
}

func (l likeness) changes() (c Change) {
	if len(l.cut) > 0 {
		c |= Cut
	}
	if len(l.other) > 0 {
		c |= Values
	}
	return c
}

// names returns the names of the properties that are not the same, as they are
// spelled in the first record that has them.
func (l likeness) names(records ...kissmetrics.Record) (names []string) {
	differing := slices.Concat(l.cut, l.other)
	for _, r := range records {
		for _, p := range r.Properties {
			if i := slices.Index(differing, foldName(p.Name)); i >= 0 {
				names = append(names, p.Name)
				differing = slices.Delete(differing, i, i+1)
			}
		}
	}
	return names
}
