package when

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Number returns the instant that a number of JSON means, in UTC: seconds since
// 1970, or from 10¹¹ on milliseconds, from 10¹⁴ on microseconds, and from 10¹⁷ on
// nanoseconds. Seconds reach 10¹¹ in the year 5138, and milliseconds did in 1973; so
// it is with the others. A number that is not positive means none.
func Number(s string) (time.Time, bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" {
		return time.Time{}, false // package strconv knows more numbers
	}
	whole, fraction, _ := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || strings.ContainsAny(fraction, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f < math.MaxInt64) {
			return time.Time{}, false
		}
		n, fraction = int64(f), ""
	}
	if n <= 0 {
		return time.Time{}, false
	}
	unit := time.Second
	for bound := int64(1e11); n >= bound && unit > 1; bound *= 1000 {
		unit /= 1000
	}
	perSecond := int64(time.Second / unit)
	t := time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC()
	if leading(fraction) > 0 {
		p := parser{rest: "." + fraction}
		t = t.Add(p.fraction(unit))
	}
	return t, true
}

// isUnix reports whether a text is a number of seconds or parts of them since 1970.
// With fewer than nine digits it would be a time before 1974; it is a date then.
func isUnix(s string) bool {
	digits := leading(s)
	rest := s[digits:]
	if rest == "" {
		return digits >= 9
	}
	if rest[0] == '.' {
		if leading(rest[1:]) == 0 {
			return false
		}
		rest = rest[1+leading(rest[1:]):]
	}
	if rest == "" {
		return digits >= 9
	}
	exponent, ok := strings.CutPrefix(rest, "E")
	exponent = strings.TrimPrefix(exponent, "+")
	return ok && digits == 1 && leading(exponent) == len(exponent) && exponent != ""
}

// dotNet reads the milliseconds that .NET writes as a date of JSON. An offset in it
// says where they were written, and changes nothing.
func dotNet(s string) (time.Time, bool) {
	s, opens := strings.CutPrefix(s, "/DATE(")
	s, closes := strings.CutSuffix(s, ")/")
	digits := leading(s)
	offset := parser{rest: s[digits:]}
	if !opens || !closes || digits == 0 || offset.rest != "" && (!offset.offset() || offset.rest != "") {
		return time.Time{}, false
	}
	n, err := strconv.ParseInt(s[:digits], 10, 64)
	return time.UnixMilli(n).UTC(), err == nil
}
