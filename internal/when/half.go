package when

import "strings"

// half is what a time of the 12-hour clock says besides.
type half uint8

const (
	unsaid half = iota
	morning
	afternoon
)

// twelve turns an hour of the 12-hour clock into one of 24.
func (p *parser) twelve() bool {
	if p.half == unsaid {
		return true
	}
	if p.hour > 12 || p.hour == 0 && p.half == morning {
		// Some phones write 22:00 PM, and 00:30 AM: the hour says it all.
		return p.hour == 0 || p.half == afternoon
	}
	p.hour %= 12
	if p.half == afternoon {
		p.hour += 12
	}
	return true
}

// halfWord reads the word for one half of the day, as phones write it in the
// languages that are known to use the 12-hour clock.
func (p *parser) halfWord() bool {
	for _, word := range [...]struct{ morning, afternoon string }{
		{"AM", "PM"}, {"A.M.", "P.M."}, {"A. M.", "P. M."},
		{"\u0635", "\u0645"},                     // Arabic
		{"\u0642.\u0638.", "\u0628.\u0638."},     // Persian
		{"上午", "下午"}, {"午前", "午後"}, {"오전", "오후"}, // Chinese, Japanese, Korean
		{"Π.Μ.", "Μ.Μ."}, {"ÖÖ", "ÖS"}, {"SA", "CH"}, // Greek, Turkish, Vietnamese
		{"पूर्वाह्न", "अपराह्न"}, {"ก่อนเที่ยง", "หลังเที่ยง"}, // Hindi, Thai
		{"DE.", "DU."}, {"FM", "EM"}, {"AP.", "IP."}, // Hungarian, Swedish, Finnish
	} {
		switch {
		case p.half != unsaid:
		case p.takeWord(word.morning):
			p.half = morning
			return true
		case p.takeWord(word.afternoon):
			p.half = afternoon
			return true
		}
	}
	return false
}

// takeWord reads word, if it is next and does not go on; Z may follow it at once.
func (p *parser) takeWord(word string) bool {
	rest, ok := strings.CutPrefix(p.rest, word)
	if !ok || letters(rest) > 0 && rest[0] != 'Z' {
		return false
	}
	p.rest = rest
	return true
}
