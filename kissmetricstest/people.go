package kissmetricstest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// people is what Kissmetrics knows. What is kept is kept by the identity it
// came with, and an alias joins identities, so that merging loses nothing.
type people struct {
	rules    rules
	known    map[string]*identity // by folded identity
	spelling map[string]string    // a folded name to its first spelling
	arrivals int
	rows     []row // what was kept, in the order of its arrival, to be exported
}

// identity is what was said of one identity.
type identity struct {
	name   string
	person *person
	events map[moment][]*event
	values map[moment][]value
}

// person is the identities of one person.
type person struct{ identities []*identity }

// moment is a folded name of an event or property, and a second.
type moment struct {
	name   string
	second int64
}

type event struct {
	name       string
	arrival    int
	properties []property // sorted by folded name
}

type value struct {
	text    string
	arrival int
}

func newPeople(rules rules) people {
	return people{rules: rules, known: make(map[string]*identity), spelling: make(map[string]string)}
}

// did takes an event, unless it is a duplicate.
func (p *people) did(t *taker, who, name string, second int64, properties []property) {
	id, at := p.identity(who), moment{shared(foldName(name)), second}
	seen := id.events[at]
	e := &event{name: name, properties: slices.Clone(properties)}
	slices.SortStableFunc(e.properties, byName)
	switch {
	case p.rules.oldDuplicates && len(seen) > 0:
		t.ignore(ReasonDuplicateEvent, "")
		p.join(t, id, seen[0], second, properties)
		return
	case slices.ContainsFunc(seen, func(other *event) bool { return slices.EqualFunc(other.properties, e.properties, property.same) }):
		t.ignore(ReasonDuplicateEvent, "")
		return
	case len(seen) > 0:
		t.warn(ReasonSameSecond, "")
	}
	p.arrivals++
	e.arrival = p.arrivals
	id.events[at] = append(seen, e)
	exported := filter(properties, func(property property) bool { return p.keep(t, id, second, property) != isLost })
	if p.rules.oldDuplicates {
		e.adopt(id, second, properties)
	}
	p.export(t, row{person: who, event: name, second: second, properties: exported})
}

// join keeps the properties of an event that is a duplicate by the old rule, and
// adds them to the one that was seen.
func (p *people) join(t *taker, id *identity, e *event, second int64, properties []property) {
	exported := filter(properties, func(property property) bool { return p.keep(t, id, second, property) == isNew })
	e.adopt(id, second, properties)
	if len(exported) > 0 {
		p.export(t, row{person: id.name, second: second, properties: exported})
	}
}

// filter returns the properties for which a function returns true.
func filter(properties []property, f func(property) bool) (filtered []property) {
	for _, p := range properties {
		if f(p) {
			filtered = append(filtered, p)
		}
	}
	return filtered
}

// adopt gives an event the values that its person has in its second.
func (e *event) adopt(id *identity, second int64, properties []property) {
	for _, p := range properties {
		p.value = id.values[moment{p.folded, second}][0].text
		if i, found := slices.BinarySearchFunc(e.properties, p, byName); found {
			e.properties[i] = p
		} else {
			e.properties = slices.Insert(e.properties, i, p)
		}
	}
}

func byName(a, b property) int { return strings.Compare(a.folded, b.folded) }

// same reports whether two properties are one to Kissmetrics.
func (p property) same(other property) bool {
	return p.folded == other.folded && p.value == other.value
}

// set takes properties. Where nothing in them is new, they are a repeat.
func (p *people) set(t *taker, who string, second int64, properties []property) {
	id := p.identity(who)
	var exported, repeats []property
	for _, property := range properties {
		switch p.keep(t, id, second, property) {
		case isNew:
			exported = append(exported, property)
		case isRepeat:
			repeats = append(repeats, property)
		}
	}
	if len(exported) > 0 {
		p.export(t, row{person: who, second: second, properties: exported})
	}
	if len(repeats) < len(properties) {
		return
	}
	for _, property := range repeats {
		t.ignore(ReasonDuplicateValue, property.name)
	}
}

// fate is what becomes of a property.
type fate int

const (
	isNew    fate = iota
	isRepeat      // its value is known
	isLost        // another value is kept
)

// keep keeps a property, unless it is a duplicate.
func (p *people) keep(t *taker, id *identity, second int64, property property) fate {
	at := moment{property.folded, second}
	seen := id.values[at]
	switch {
	case slices.ContainsFunc(seen, func(v value) bool { return v.text == property.value }):
		return isRepeat
	case p.rules.oldDuplicates && len(seen) > 0:
		t.ignore(ReasonDuplicateValue, property.name)
		return isLost
	case len(seen) > 0:
		t.warn(ReasonSameSecond, property.name)
	}
	if _, ok := p.spelling[property.folded]; !ok {
		p.spelling[property.folded] = normal(property.name)
	}
	p.arrivals++
	id.values[at] = append(seen, value{property.value, p.arrivals})
	return isNew
}

// identity returns what was said of an identity, which is known from now on.
func (p *people) identity(name string) *identity {
	folded := p.rules.foldIdentity(name)
	id := p.known[folded]
	if id == nil {
		id = &identity{name: name, events: make(map[moment][]*event), values: make(map[moment][]value)}
		id.person = &person{[]*identity{id}}
		p.known[folded] = id
	}
	return id
}

// merge makes two identities one person.
func (p *people) merge(t *taker, a, b string) {
	p.export(t, row{person: a, other: b, second: t.now.Unix()})
	large, small := p.identity(a).person, p.identity(b).person
	if large == small {
		return
	}
	if len(large.identities) < len(small.identities) {
		large, small = small, large
	}
	large.identities = append(large.identities, small.identities...)
	for _, id := range small.identities {
		id.person = large
	}
}

// find returns what is known of an identity, or nil.
func (p *people) find(name string) *identity { return p.known[p.rules.foldIdentity(name)] }

// of returns what is known under each identity of a person.
func (p *people) of(name string) []*identity {
	if id := p.find(name); id != nil {
		return id.person.identities
	}
	return nil
}

func (p *people) identities(person string) []string {
	var names []string
	for _, id := range p.of(person) {
		names = append(names, id.name)
	}
	slices.Sort(names)
	return names
}

// arrived is something of a second, to be sorted.
type arrived[T any] struct {
	what    T
	second  int64
	arrival int
}

// inOrder returns things by second, and by arrival within a second.
func inOrder[T any](things []arrived[T]) []T {
	slices.SortFunc(things, func(a, b arrived[T]) int {
		return cmp.Or(cmp.Compare(a.second, b.second), cmp.Compare(a.arrival, b.arrival))
	})
	var sorted []T
	for _, thing := range things {
		sorted = append(sorted, thing.what)
	}
	return sorted
}

func (p *people) events(person string) []Event {
	var all []arrived[Event]
	for _, id := range p.of(person) {
		for at, events := range id.events {
			for _, e := range events {
				properties := make(map[string]string, len(e.properties))
				for _, property := range e.properties {
					properties[p.spelling[property.folded]] = property.value
				}
				all = append(all, arrived[Event]{Event{e.name, time.Unix(at.second, 0).UTC(), properties}, at.second, e.arrival})
			}
		}
	}
	return inOrder(all)
}

func (p *people) history(person, property string) []Value {
	var all []arrived[Value]
	folded := foldName(property)
	for _, id := range p.of(person) {
		for at, values := range id.values {
			if at.name != folded {
				continue
			}
			for _, v := range values {
				all = append(all, arrived[Value]{Value{time.Unix(at.second, 0).UTC(), v.text}, at.second, v.arrival})
			}
		}
	}
	return inOrder(all)
}

func (p *people) properties(person string) map[string]string {
	latest := make(map[string]arrived[string]) // by folded name
	for _, id := range p.of(person) {
		for at, values := range id.values {
			v := values[len(values)-1]
			now, ok := latest[at.name]
			if !ok || cmp.Or(cmp.Compare(at.second, now.second), cmp.Compare(v.arrival, now.arrival)) > 0 {
				latest[at.name] = arrived[string]{v.text, at.second, v.arrival}
			}
		}
	}
	properties := make(map[string]string, len(latest))
	for folded, v := range latest {
		properties[p.spelling[folded]] = v.what
	}
	return properties
}
