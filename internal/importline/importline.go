// Package importline takes a line of Kissmetrics' bulk import apart.
package importline

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A Line is what stands on a line. What is null is not on it, and neither are _k
// and _d.
type Line struct {
	Person, Event, Other string // _p, _n, _p2
	Time                 string // _t
	Seconds              int64  // which that is, without a fraction
	Plain                []Value
	Nested               map[string]any // the values that hold others
	Twice                []string       // names of these that are there twice
	Problems             []Problem
	seen                 map[string]bool
}

// A Value stands on a line under a name of the sender's choice.
type Value struct {
	Name string
	Text string
	// Literal says that it is written without quotes, as a number or a boolean.
	Literal bool
}

// A Problem says what is wrong with a field. For a property it has the name.
type Problem struct{ Field, Name, Reason string }

// IsProtocol reports whether a name is the protocol's own: it begins with one
// underscore.
func IsProtocol(name string) bool {
	return strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "__")
}

// Read takes a line of JSON apart. Values of the protocol's own names are plain,
// even if they hold others, unless all names are to be taken for the sender's. A
// number of more than limit digits is a problem. The error is one of package
// jsonwalk.
func Read(data []byte, limit int, allNames bool) (Line, error) {
	l := Line{seen: make(map[string]bool, 4)}
	r := jsonwalk.NewReader(data)
	err := r.Members(func(member []byte) error {
		name, kind := string(member), r.Kind()
		if isNested := kind == '{' || kind == '['; isNested && IsProtocol(name) && !allNames && l.head(name) == nil {
			raw, err := r.Raw()
			l.Plain = append(l.Plain, Value{Name: name, Text: string(raw)})
			return err
		}
		value, err := r.Value()
		if err == nil && value != nil {
			l.member(name, value, limit)
		}
		return err
	})
	if err == nil && l.Time != "" {
		whole, _, _ := strings.Cut(l.Time, ".")
		var wrong error
		if l.Seconds, wrong = strconv.ParseInt(whole, 10, 64); wrong != nil {
			l.problem("timestamp", "", "is not a number of seconds")
		}
	}
	return l, err
}

// A head is where a member of the head goes, and what its field is called.
type head struct {
	text  *string
	field string
}

// head returns nil for a member that is not of the head.
func (l *Line) head(name string) *head {
	switch name {
	case "_k", "_d":
		return &head{} // nowhere
	case "_p":
		return &head{&l.Person, "identity"}
	case "_n":
		return &head{&l.Event, "event"}
	case "_p2":
		return &head{&l.Other, "userId"}
	case "_t":
		return &head{&l.Time, "timestamp"}
	}
	return nil
}

// member takes a member that is not null.
func (l *Line) member(name string, value any, limit int) {
	v, isPlain := l.plain(name, value, limit)
	to := l.head(name)
	switch {
	case to != nil && to.text == nil:
	case to != nil:
		if _, isBool := value.(bool); !isPlain || isBool {
			l.problem(to.field, "", "is neither a text nor a number")
			return
		}
		if l.seen[name] && *to.text != v.Text {
			l.problem(to.field, "", "is there twice, with different values")
		}
		*to.text, l.seen[name] = v.Text, true
	case isPlain:
		l.Plain = append(l.Plain, v)
	default:
		if _, twice := l.Nested[name]; twice {
			l.Twice = append(l.Twice, name)
		}
		if l.Nested == nil {
			l.Nested = make(map[string]any)
		}
		l.Nested[name] = value
	}
}

// plain returns a value that holds no others; ok is false for one that does.
func (l *Line) plain(name string, value any, limit int) (v Value, ok bool) {
	switch value := value.(type) {
	case string:
		return Value{Name: name, Text: value}, true
	case bool:
		return Value{name, strconv.FormatBool(value), true}, true
	case json.Number:
		text := string(value)
		if !decimal.IsNumber(text) { // else it keeps its digits
			var ok bool
			if text, ok = decimal.Plain(text, limit); !ok {
				l.problem("property", name, "is not a number of at most "+strconv.Itoa(limit)+" digits")
			}
		}
		return Value{name, text, true}, true
	}
	return Value{}, false
}

func (l *Line) problem(field, name, reason string) {
	l.Problems = append(l.Problems, Problem{field, name, reason})
}
