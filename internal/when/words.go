package when

import (
	"slices"
	"strings"
	"time"
)

// A prose reads a date with the name of its month, and the time and the zone around
// it, in any order.
type prose struct {
	*parser
	weekday      time.Weekday
	named, timed bool // whether there was a weekday, a time
	short        bool // the year has two digits only
}

// words reads a date in words.
func (p *parser) words() bool {
	w := prose{parser: p}
	for {
		p.rest = strings.TrimLeft(p.rest, " ,")
		if p.rest == "" {
			return w.complete()
		}
		if !w.part() {
			return false
		}
	}
}

// complete reports whether there is a whole date. A year of two digits could also be
// the day, unless the weekday says so.
func (w *prose) complete() bool {
	if w.year == 0 || w.month == 0 || w.day == 0 {
		return false
	}
	return !w.short || time.Date(w.year, time.Month(w.month), w.day, 0, 0, 0, 0, time.UTC).Weekday() == w.weekday
}

// part reads one part, each of which may be there once.
func (w *prose) part() bool {
	digits := leading(w.rest)
	switch {
	case digits > 0 && digits <= 2 && strings.HasPrefix(w.rest[digits:], ":"):
		if w.timed || !w.clock() {
			return false
		}
		w.timed = true
		return true
	case digits > 0:
		return w.number(digits)
	}
	word := w.rest[:letters(w.rest)]
	if n := month(word); n > 0 && w.month == 0 {
		w.month = n
		return w.follow(word)
	}
	if n := weekday(word); n > 0 && !w.named {
		w.weekday, w.named = time.Weekday(n-1), true
		return w.follow(word)
	}
	if word == "AT" {
		return w.follow(word)
	}
	return w.timed && !w.zoned && w.zone()
}

// number reads a year, or the day of a month.
func (w *prose) number(digits int) bool {
	n, _ := w.parser.number(digits, digits)
	switch {
	case digits == 4 && w.year == 0:
		w.year = n
	case digits <= 2 && w.day == 0:
		w.day = n
		for _, ending := range []string{"ST", "ND", "RD", "TH"} {
			if w.take(ending) {
				break
			}
		}
	case digits == 2 && w.year == 0 && w.named:
		w.short = true
		if w.year = 2000 + n; n >= 69 { // as POSIX and package time have it
			w.year = 1900 + n
		}
	default:
		return false
	}
	return w.follow("")
}

// follow reads a word, and what parts it from the next without a space.
func (w *prose) follow(word string) bool {
	w.rest = w.rest[len(word):]
	if c := w.next(); c == '-' || c == '/' || c == '.' || c == ':' && w.year != 0 {
		w.rest = w.rest[1:]
	}
	return true
}

// month returns the number of the month that a word names, in full or by its first
// letters, and 0 where it names none.
func month(word string) int {
	if word == "SEPT" {
		return 9
	}
	return find(word, "JANUARY", "FEBRUARY", "MARCH", "APRIL", "MAY", "JUNE", "JULY",
		"AUGUST", "SEPTEMBER", "OCTOBER", "NOVEMBER", "DECEMBER")
}

// weekday returns the number of the day that a word names, from Sunday on.
func weekday(word string) int {
	return find(word, "SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY")
}

// find returns the place, from 1 on, of the name that begins with at least three
// letters of word, and 0 where none does.
func find(word string, names ...string) int {
	if len(word) < 3 {
		return 0
	}
	return 1 + slices.IndexFunc(names, func(name string) bool { return strings.HasPrefix(name, word) })
}
