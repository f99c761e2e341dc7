package reconcile

import (
	"strings"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// foldName returns a name as it is compared.
func foldName(s string) string { return withoutDot(name.Fold(s)) }

// foldIdentity returns an identity as it is compared.
func foldIdentity(s string) string { return withoutDot(name.FoldIdentity(s)) }

// withoutDot returns a folded text with i for İ, which some programs write in lower case
// as i and others as i with a combining dot. A fold leaves it alone, since for a name
// that is sent it is another letter.
func withoutDot(s string) string {
	const capital, dot = "İ", "\u0307"
	if strings.Contains(s, capital) {
		s = strings.ReplaceAll(s, capital, "i")
	}
	if strings.Contains(s, dot) {
		s = strings.ReplaceAll(s, "i"+dot, "i")
	}
	return s
}

// A value is one of a property.
type value struct {
	text   string
	number bool // rather than a text
}

// is reports whether an exported text is the value that was sent. A number may come
// back in another way: 1000 for 1000.0 or 1e3. A text may not: a version 1.10 is
// another than 1.1.
func (v value) is(exported string) bool {
	return v.text == exported || v.number && sameNumber(v.text, exported)
}

// isCut reports whether an exported text is what was left of the value.
func (v value) isCut(exported string) bool {
	return len(exported) < len(v.text) && exported != "" && strings.HasPrefix(v.text, exported) &&
		utf8.RuneCountInString(v.text) > name.MaxValueChars
}

// sameNumber reports whether two texts are the same number, as JSON writes numbers.
func sameNumber(a, b string) bool {
	x, ok := decimal.Plain(a, maxDigits)
	y, too := decimal.Plain(b, maxDigits)
	return ok && too && x == y
}

// maxDigits is more than any value has that is kept.
const maxDigits = 1 << 16
