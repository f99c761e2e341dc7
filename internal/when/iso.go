package when

import (
	"strings"
	"time"
)

// date reads a date whose year comes first.
func (p *parser) date() bool {
	if sign := p.next(); sign == '+' || sign == '-' {
		p.rest = p.rest[1:]
		year, ok := p.number(6, 6)
		if p.year = year; sign == '-' {
			p.year = -year
		}
		return ok && p.next() == '-' && p.monthAndDay()
	}
	switch leading(p.rest) {
	case 4:
		p.year, _ = p.number(4, 4)
		return p.monthAndDay()
	case 7:
		p.year = p.two()*100 + p.two()
		return p.ordinal()
	case 8:
		p.year = p.two()*100 + p.two()
		p.month, p.day = p.two(), p.two()
		return true
	}
	return false
}

// two reads the two digits that are next.
func (p *parser) two() int {
	n := int(p.rest[0]-'0')*10 + int(p.rest[1]-'0')
	p.rest = p.rest[2:]
	return n
}

// monthAndDay reads what follows a year.
func (p *parser) monthAndDay() bool {
	p.month, p.day = 1, 1
	if p.rest == "" {
		return true
	}
	if p.take("W") {
		return p.week("")
	}
	separator := p.rest[:1]
	if !strings.Contains("-/.", separator) {
		return false
	}
	p.rest = p.rest[1:]
	if separator == "-" && p.take("W") {
		return p.week("-")
	}
	if separator == "-" && leading(p.rest) == 3 {
		return p.ordinal()
	}
	var ok bool
	if p.month, ok = p.number(1, 2); !ok {
		return false
	}
	if !p.take(separator) {
		return p.rest == "" && separator != "."
	}
	p.day, ok = p.number(1, 2)
	return ok
}

// ordinal reads the number of a day in its year.
func (p *parser) ordinal() bool {
	n, ok := p.number(3, 3)
	t := time.Date(p.year, time.January, n, 0, 0, 0, 0, time.UTC)
	ok = ok && t.Year() == p.year
	p.set(t)
	return ok
}

// week reads the number of a week of ISO 8601, and of a day in it, which is Monday
// where it is not there.
func (p *parser) week(separator string) bool {
	digits := leading(p.rest)
	if digits != 2 && (digits != 3 || separator != "") {
		return false
	}
	year, week, day := p.year, p.two(), 1
	if p.rest != "" && p.take(separator) {
		var ok bool
		if day, ok = p.number(1, 1); !ok || day < 1 || day > 7 {
			return false
		}
	}
	first := time.Date(year, time.January, 4, 0, 0, 0, 0, time.UTC) // is in the first week
	monday := 1 - (int(first.Weekday())+6)%7
	t := time.Date(year, time.January, 4+monday-1+(week-1)*7, 0, 0, 0, 0, time.UTC)
	if y, w := t.ISOWeek(); y != year || w != week {
		return false
	}
	p.set(t.AddDate(0, 0, day-1))
	return true
}

// set takes over a date.
func (p *parser) set(t time.Time) {
	var month time.Month
	p.year, month, p.day = t.Date()
	p.month = int(month)
}

// isoTime reads what follows a date: nothing, a zone, or a time and a zone.
func (p *parser) isoTime() bool {
	p.take(",")
	if p.take("T") || p.spaces() {
		p.spaces()
		if !p.clock() {
			return false
		}
	}
	return p.zone() && p.rest == ""
}

// clock reads a time of day.
func (p *parser) clock() bool {
	p.halfWord()
	p.spaces()
	unit := time.Hour
	switch leading(p.rest) {
	case 1, 2:
		p.hour, _ = p.number(1, 2)
		for _, field := range []*int{&p.minute, &p.second} {
			if p.next() != ':' {
				break
			}
			p.rest = p.rest[1:]
			n, ok := p.number(2, 2)
			if !ok {
				return false
			}
			*field = n
			unit /= 60
		}
	case 4:
		p.hour, p.minute = p.two(), p.two()
		unit = time.Minute
	case 6:
		p.hour, p.minute, p.second = p.two(), p.two(), p.two()
		unit = time.Second
	default:
		return false
	}
	p.parts(unit)
	p.spaces()
	if p.halfWord() {
		p.parts(unit) // some phones write 9:00:00 PM.123Z
	}
	return true
}

// parts reads the fraction of the last unit of a time.
func (p *parser) parts(unit time.Duration) {
	switch c := p.next(); {
	case c == '.', c == ',' && len(p.rest) > 1 && leading(p.rest[1:]) > 0:
		p.nanos = p.fraction(unit)
	case c == ':' && unit == time.Second && leading(p.rest[1:]) == 3: // milliseconds
		p.nanos = p.fraction(unit)
	}
}
