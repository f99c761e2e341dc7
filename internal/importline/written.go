package importline

import (
	"encoding/json/jsontext"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
)

// What a line can be, by the numbers of kissmetrics.Kind.
const event, properties, alias = 1, 2, 3

// Written reads a line as this module writes it itself: one object, without white
// space, of _p, _t, then _n or _p2, and plain properties. That takes a tenth of the
// time of Read, and of what it understands Read says the same. For any other line ok
// is false, whether or not Read understands it. R is kissmetrics.Record. The texts are
// parts of the line. The properties go into room, which is empty, as far as there is
// any; what is left of it is returned.
//
// It does not check whether the record is valid, nor whether the line is UTF-8.
func Written[R ~struct {
	Kind       K
	Person     string
	Name       string
	Time       time.Time
	Properties []P
}, K ~int, P ~struct {
	Name, Value string
	Literal     bool
}](line string, room []P) (record R, left []P, ok bool) {
	var (
		s            = scanner(strings.TrimSuffix(line, "\n"))
		kind         = properties
		person, name string
		at           time.Time
		others       []P
	)
	if !s.skip(`{"_p":`) {
		return record, room, false
	}
	if person, ok = s.text(); !ok {
		return record, room, false
	}
	if s.skip(`,"_t":`) {
		seconds, ok := s.seconds()
		if !ok {
			return record, room, false
		}
		at = time.Unix(seconds, 0).UTC()
	}
	switch {
	case s.skip(`,"_n":`):
		kind = event
		name, ok = s.text()
	case s.skip(`,"_p2":`):
		kind = alias
		name, ok = s.text()
	}
	if ok && s != "}" {
		others, room, ok = list(&s, room)
	}
	return R{K(kind), person, name, at, others}, room, ok && s == "}" && (name != "" || kind == properties)
}

// list reads properties into room, and returns what is left of it.
func list[P ~struct {
	Name, Value string
	Literal     bool
}](s *scanner, room []P) (properties, left []P, ok bool) {
	room = slices.Grow(room, strings.Count(string(*s), `,"`)) // one too many for a text that ends with a comma
	for s.skip(",") {
		p, ok := property[P](s)
		if !ok {
			return nil, room[:0], false
		}
		room = append(room, p)
	}
	n := len(room)
	return room[:n:n], room[n:], true
}

func property[P ~struct {
	Name, Value string
	Literal     bool
}](s *scanner) (p P, ok bool) {
	name, ok := s.text()
	if !ok || !s.skip(":") || strings.HasPrefix(name, "_") { // which may be of the head
		return p, false
	}
	if strings.HasPrefix(string(*s), `"`) {
		value, ok := s.text()
		return P{name, value, false}, ok
	}
	value := s.until(",}")
	return P{name, value, true}, value == "true" || value == "false" || decimal.IsNumber(value)
}

// A scanner is what is left of a line.
type scanner string

// skip skips a prefix, if that is next.
func (s *scanner) skip(prefix string) bool {
	rest, ok := strings.CutPrefix(string(*s), prefix)
	if ok {
		*s = scanner(rest)
	}
	return ok
}

// until takes all before one of some bytes.
func (s *scanner) until(stops string) string {
	i := strings.IndexAny(string(*s), stops)
	if i < 0 {
		return ""
	}
	taken := string(*s)[:i]
	*s = (*s)[i:]
	return taken
}

// seconds takes a time.
func (s *scanner) seconds() (n int64, ok bool) {
	digits := s.until(",}")
	if !decimal.IsNumber(digits) {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// text takes a text in quotes.
func (s *scanner) text() (text string, ok bool) {
	if !s.skip(`"`) {
		return "", false
	}
	rest, escaped := string(*s), false
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c > '\\', c > '"' && c < '\\':
		case c == '"':
			*s = scanner(rest[i+1:])
			if !escaped {
				return rest[:i], true
			}
			plain, err := jsontext.AppendUnquote(nil, `"`+rest[:i+1])
			return string(plain), err == nil
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}
