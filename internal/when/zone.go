package when

import (
	"strings"
	"time"
)

// zone reads the zone of a time, if there is one, and what programs write behind an
// offset: the zone's abbreviation, or the offset once more.
func (p *parser) zone() bool {
	p.spaces()
	if p.rest == "" {
		return true
	}
	if p.offset() {
		return p.again()
	}
	hours, known, ok := p.abbreviation()
	if !ok || !known {
		return false
	}
	p.zoned, p.ahead = true, time.Duration(hours)*time.Hour
	if hours == 0 { // GMT+0200
		p.offset()
	}
	return true
}

// again reads what may follow an offset.
func (p *parser) again() bool {
	before := *p
	if p.ahead == 0 && p.take("Z") { // in Python, isoformat and a Z too many
		return true
	}
	if !p.spaces() || p.rest == "" {
		return true
	}
	ahead := p.ahead
	if p.offset() {
		return p.ahead == ahead
	}
	hours, known, ok := p.abbreviation()
	if !ok { // belongs to what follows
		*p = before
		return true
	}
	return !known || time.Duration(hours)*time.Hour == ahead
}

// abbreviation reads the name of a zone. It is known if it has one meaning in all the
// world, or was given one by RFC 822.
func (p *parser) abbreviation() (hours int, known, ok bool) {
	for _, name := range [...]string{"COORDINATED UNIVERSAL TIME", "GREENWICH MEAN TIME"} {
		if p.take(name) {
			return 0, true, true
		}
	}
	word := p.rest[:letters(p.rest)]
	switch word {
	case "":
		return 0, false, false
	case "Z", "UTC", "GMT", "UT":
		hours, known = 0, true
	case "EDT":
		hours, known = -4, true
	case "EST", "CDT":
		hours, known = -5, true
	case "CST", "MDT":
		hours, known = -6, true
	case "MST", "PDT":
		hours, known = -7, true
	case "PST":
		hours, known = -8, true
	}
	p.rest = p.rest[len(word):]
	return hours, known, true
}

// letters returns how many letters of ASCII s begins with.
func letters(s string) int {
	for i := range len(s) {
		if s[i] < 'A' || s[i] > 'Z' {
			return i
		}
	}
	return len(s)
}

// offset reads a difference from UTC: +02:00, +0200, +02, +2 or +02:00:00.
func (p *parser) offset() bool {
	sign := p.next()
	if sign != '+' && sign != '-' {
		return false
	}
	q := parser{rest: p.rest[1:]}
	switch digits := leading(q.rest); digits {
	case 1, 2:
		q.hour, _ = q.number(1, 2)
		for _, field := range []*int{&q.minute, &q.second} {
			if !strings.HasPrefix(q.rest, ":") {
				break
			}
			q.rest = q.rest[1:]
			n, ok := q.number(2, 2)
			if !ok {
				return false
			}
			*field = n
		}
	case 4, 6:
		q.hour, q.minute = q.two(), q.two()
		if digits == 6 {
			q.second = q.two()
		}
	default:
		return false
	}
	if q.hour > 23 || q.minute > 59 || q.second > 59 {
		return false
	}
	ahead := time.Duration(q.hour)*time.Hour + time.Duration(q.minute)*time.Minute + time.Duration(q.second)*time.Second
	if sign == '-' {
		ahead = -ahead
	}
	p.rest = p.rest[len(p.rest)-len(q.rest):] // q.rest, which would have the text escape to the heap
	p.ahead, p.zoned = ahead, true
	return true
}
