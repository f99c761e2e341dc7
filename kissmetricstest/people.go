package kissmetricstest

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxNameChars  = 255
	maxValueBytes = 8 << 10
	earliest      = 1230768000 // 2009-01-01
)

// people is what Kissmetrics knows. What is kept is kept by the identity it
// came with, and an alias joins identities, so that merging loses nothing.
type people struct {
	merged   map[string]string    // an identity to another of the same person
	known    map[string]*identity // by identity as sent
	spelling map[string]string    // a folded name to its first spelling
	arrivals int
}

// identity is what was said of one identity.
type identity struct {
	events []event
	seen   map[string]map[int64]bool        // of events, by folded name
	values map[string]map[int64]storedValue // of properties, by folded name
}

type event struct {
	name       string
	second     int64
	properties []string // folded names
}

type storedValue struct {
	text    string
	arrival int
}

func newPeople() people {
	return people{
		merged:   make(map[string]string),
		known:    make(map[string]*identity),
		spelling: make(map[string]string),
	}
}

// record takes a request, and reports what of it is dropped.
func (p *people) record(request Request, now time.Time, ignore func(reason Reason, property string)) {
	param := request.Params.Get
	kind := path.Base(request.Path)
	second, believed := seconds(param("_t"), param("_d"))
	if !believed {
		second = now.Unix()
	}
	hasName := kind != "s"
	switch {
	case kind != "e" && kind != "s" && kind != "a":
		ignore(ReasonUnknownPath, "")
	case param("_k") == "":
		ignore(ReasonNoAPIKey, "")
	case blank(param("_p")):
		ignore(ReasonNoPerson, "")
	case hasName && blank(param("_n")):
		ignore(ReasonNoName, "")
	case tooLong(param("_p")) || hasName && tooLong(param("_n")):
		ignore(ReasonNameTooLong, "")
	case second < earliest:
		ignore(ReasonTooOld, "")
	case kind == "a":
		p.merge(param("_p"), param("_n"))
	default:
		id := p.identity(param("_p"))
		if kind == "e" {
			e := event{name: normal(param("_n")), second: second}
			folded := fold(e.name)
			if id.seen[folded][second] {
				ignore(ReasonDuplicateEvent, "")
				return
			}
			if id.seen[folded] == nil {
				id.seen[folded] = make(map[int64]bool)
			}
			id.seen[folded][second] = true
			e.properties = p.set(id, request, second, ignore)
			id.events = append(id.events, e)
			return
		}
		p.set(id, request, second, ignore)
	}
}

// set keeps the properties of a request, and returns their folded names.
func (p *people) set(id *identity, request Request, second int64, ignore func(Reason, string)) []string {
	var names []string
	for _, name := range sortedNames(request.Params) {
		value, folded := request.Params.Get(name), fold(normal(name))
		switch _, dup := id.values[folded][second]; {
		case blank(name):
			ignore(ReasonNoName, name)
			continue
		case tooLong(name):
			ignore(ReasonNameTooLong, name)
			continue
		case len(value) > maxValueBytes:
			ignore(ReasonValueTooLong, name)
			continue
		case dup:
			ignore(ReasonDuplicateValue, name)
		default:
			if id.values[folded] == nil {
				id.values[folded] = make(map[int64]storedValue)
			}
			if _, ok := p.spelling[folded]; !ok {
				p.spelling[folded] = normal(name)
			}
			p.arrivals++
			id.values[folded][second] = storedValue{value, p.arrivals}
		}
		names = append(names, folded)
	}
	return names
}

func (p *people) identity(name string) *identity {
	id := p.known[name]
	if id == nil {
		id = &identity{
			seen:   make(map[string]map[int64]bool),
			values: make(map[string]map[int64]storedValue),
		}
		p.known[name] = id
	}
	return id
}

// merge makes two identities one person.
func (p *people) merge(a, b string) {
	p.identity(a)
	p.identity(b)
	if a, b = p.root(a), p.root(b); a != b {
		p.merged[a] = b
	}
}

// root returns the identity that stands for a person.
func (p *people) root(name string) string {
	for {
		next, ok := p.merged[name]
		if !ok {
			return name
		}
		name = next
	}
}

// of returns the identities of a person.
func (p *people) identities(person string) []string {
	var names []string
	for name := range p.known {
		if p.root(name) == p.root(person) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (p *people) events(person string) []Event {
	var events []Event
	for _, name := range p.identities(person) {
		id := p.known[name]
		for _, e := range id.events {
			properties := make(map[string]string, len(e.properties))
			for _, folded := range e.properties {
				properties[p.spelling[folded]] = id.values[folded][e.second].text
			}
			events = append(events, Event{e.name, time.Unix(e.second, 0).UTC(), properties})
		}
	}
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	return events
}

func (p *people) history(person, property string) []Value {
	type dated struct {
		Value
		arrival int
	}
	var all []dated
	for _, name := range p.identities(person) {
		for second, v := range p.known[name].values[fold(normal(property))] {
			all = append(all, dated{Value{time.Unix(second, 0).UTC(), v.text}, v.arrival})
		}
	}
	slices.SortFunc(all, func(a, b dated) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.arrival, b.arrival))
	})
	values := make([]Value, len(all))
	for i, v := range all {
		values[i] = v.Value
	}
	return values
}

func (p *people) properties(person string) map[string]string {
	names := make(map[string]bool)
	for _, name := range p.identities(person) {
		for folded := range maps.Keys(p.known[name].values) {
			names[folded] = true
		}
	}
	properties := make(map[string]string, len(names))
	for folded := range names {
		values := p.history(person, folded)
		properties[p.spelling[folded]] = values[len(values)-1].Value
	}
	return properties
}

// seconds returns the time that a request claims, if it is to be believed.
func seconds(t, d string) (second int64, believed bool) {
	second, err := strconv.ParseInt(t, 10, 64)
	return second, err == nil && d == "1"
}

func fold(name string) string { return strings.ToLower(name) }

func blank(s string) bool { return strings.TrimSpace(s) == "" }

func tooLong(name string) bool { return utf8.RuneCountInString(name) > maxNameChars }
