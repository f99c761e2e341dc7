// Package when reads times as programs write them. It reads what means one
// instant, and nothing that could mean two.
//
// It does not depend on the machine: a time without a zone is in UTC, and a zone
// must be an offset or an abbreviation with one meaning.
package when

import (
	"strings"
	"time"
)

// Text returns the instant that a text means, in UTC:
//
//   - a date of ISO 8601, extended or basic: 2026-03-02, 20260302, 2026-W10-1,
//     2026-061, the month 2026-03, the year 2026, +002026-03-02; its parts may also
//     be parted by slashes, if the year comes first;
//   - then, after T or spaces, hours, minutes and seconds, of which the last may
//     have a fraction; 24:00 is the end of the day, and second 60 the next minute;
//   - then, after optional spaces, Z, an offset, or UTC, GMT or one of the zones of
//     the United States that RFC 822 names. The name of a region in brackets may
//     follow an offset, and a comment in parentheses may follow anything;
//   - a date with the name of its month in English, as in RFC 1123, RFC 850, ANSI
//     C, JavaScript's Date and Java's default format: "Mon, 02 Mar 2026 09:00:00
//     GMT", "March 2, 2026 9:00 AM";
//   - seconds, milliseconds, microseconds or nanoseconds since 1970; see [Number].
//     .NET also writes milliseconds as /Date(1772442000000)/.
//
// Letters may be of either case. A time may be of the 12-hour clock, in the words that
// phones use for its halves in some fifteen languages. Digits may be those of any
// script.
func Text(s string) (time.Time, bool) {
	if t, ok := internet(s); ok {
		return t, true
	}
	return other(strings.Clone(s)) // so that s need not be on the heap
}

// other reads all forms.
func other(s string) (time.Time, bool) {
	s = normalize(s)
	if isUnix(s) {
		return Number(s)
	}
	if t, ok := dotNet(s); ok {
		return t, true
	}
	s, region := annotations(s)
	p := parser{rest: s, region: region}
	if !p.date() {
		p = parser{rest: s, region: region}
		if !p.words() {
			return time.Time{}, false
		}
	} else if !p.isoTime() {
		return time.Time{}, false
	}
	return p.instant()
}

// internet reads the form of RFC 3339 that nearly every program writes, such as
// 2026-03-02T09:00:00.358Z. It leaves anything else to the others.
func internet(s string) (t time.Time, ok bool) {
	const form = "dddd-dd-ddTdd:dd:dd"
	if len(s) <= len(form) {
		return t, false
	}
	for i := range len(form) {
		if form[i] == 'd' && (s[i] < '0' || s[i] > '9') || form[i] != 'd' && s[i] != form[i] {
			return t, false
		}
	}
	two := func(i int) int { return int(s[i]-'0')*10 + int(s[i+1]-'0') }
	p := parser{year: two(0)*100 + two(2), month: two(5), day: two(8), hour: two(11), minute: two(14), second: two(17)}
	p.rest = s[len(form):]
	if p.next() == '.' {
		p.nanos = p.fraction(time.Second)
	}
	if p.rest != "Z" && (!p.offset() || p.rest != "") {
		return t, false
	}
	return p.instant()
}

// A parser takes a text apart, and keeps what it says.
type parser struct {
	rest                 string
	region               string // in brackets behind it, which is not UTC
	year, month, day     int
	hour, minute, second int
	nanos                time.Duration
	half                 half
	ahead                time.Duration // of UTC
	zoned                bool
}

// instant puts together what was read, if that is a time.
func (p *parser) instant() (t time.Time, ok bool) {
	if p.region != "" && !p.zoned {
		return t, false // what time it is there is not for a text to say
	}
	if !p.twelve() {
		return t, false
	}
	endOfDay := p.hour == 24 && p.minute == 0 && p.second == 0 && p.nanos == 0
	if p.hour > 23 && !endOfDay || p.minute > 59 || p.second > 60 || p.month < 1 || p.month > 12 || p.day < 1 {
		return t, false
	}
	t = time.Date(p.year, time.Month(p.month), p.day, 0, 0, 0, 0, time.UTC)
	if t.Day() != p.day {
		return t, false // the month is not so long
	}
	clock := time.Duration(p.hour)*time.Hour + time.Duration(p.minute)*time.Minute + time.Duration(p.second)*time.Second
	return t.Add(clock + p.nanos - p.ahead), true
}

// number reads between least and most digits.
func (p *parser) number(least, most int) (n int, ok bool) {
	digits := leading(p.rest)
	if digits < least || digits > most {
		return 0, false
	}
	for i := range digits {
		n = n*10 + int(p.rest[i]-'0')
	}
	p.rest = p.rest[digits:]
	return n, true
}

// fraction reads the fraction of a unit, behind its point or comma.
func (p *parser) fraction(unit time.Duration) time.Duration {
	digits := leading(p.rest[1:])
	if digits == 0 {
		return 0 // and what is left is not read by anything
	}
	var part time.Duration
	for _, c := range p.rest[1 : 1+min(digits, 9)] {
		unit /= 10
		part += unit * time.Duration(c-'0')
	}
	p.rest = p.rest[1+digits:]
	return part
}

// leading returns how many digits s begins with.
func leading(s string) int {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return i
		}
	}
	return len(s)
}

// take reads prefix, if it is next.
func (p *parser) take(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

// next returns the next byte without reading it, and 0 at the end.
func (p *parser) next() byte {
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *parser) spaces() bool {
	before := len(p.rest)
	p.rest = strings.TrimLeft(p.rest, " ")
	return len(p.rest) < before
}
