package name

import "strings"

// Generic reports whether an identity is one that many people share, most often
// because a program wrote down that it knows none. Case, quotes and blanks
// around it do not matter. To send it would make one person of all of them, and
// an alias of it cannot be undone.
func Generic(identity string) bool {
	s := strings.ToLower(unquoted(identity))
	switch s {
	case "", "anonymous", "anonymoususer", "anonymous user", "guest", "visitor", "unknown", "nobody", "no name",
		"not_authenticated", "unauthenticated", "unidentified", "your_identifier_here",
		"null", "nil", "none", "missing", "undefined", "nan", "n/a", "not set", "no value",
		"true", "false", "-1", "id", "email", "distinct_id", "distinctid", "{}", "[]":
		return true
	}
	return !isLetter(s[0]) && (isZero(s) || isPrinted(s) || isPlaceholder(s))
}

// unquoted returns a text without the quotes, brackets and blanks around it.
// Brackets are those in which languages print what is no value: (null), <nil>.
func unquoted(s string) string {
	for {
		s = Trim(s)
		if s == "" || isLetter(s[0]) {
			return s
		}
		inner, ok := within(s, "''", `""`, "``", "()", "<>", "‘’", "“”", "«»")
		if !ok {
			return s
		}
		s = inner
	}
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// within returns what stands between one of the pairs of marks.
func within(s string, pairs ...string) (inner string, ok bool) {
	for _, pair := range pairs {
		half := len(pair) / 2
		if len(s) >= len(pair) && strings.HasPrefix(s, pair[:half]) && strings.HasSuffix(s, pair[half:]) {
			return s[half : len(s)-half], true
		}
	}
	return s, false
}

// isZero reports whether a text is the number or the UUID that is all zeros.
func isZero(s string) bool {
	const marks = "0-.{}"
	if s == "" || !strings.Contains(marks, s[:1]) { // which most are
		return false
	}
	return strings.Trim(s, marks) == "" && strings.Contains(s, "0")
}

// isPrinted reports whether a text is what JavaScript prints of an object:
// [object Object].
func isPrinted(s string) bool {
	return strings.HasPrefix(s, "[object ") && strings.HasSuffix(s, "]")
}

// isPlaceholder reports whether a text is a template that was never filled in:
// {{userId}}, ${userId}.
func isPlaceholder(s string) bool {
	return strings.HasPrefix(s, "{{") && strings.HasSuffix(s, "}}") || strings.HasPrefix(s, "${") && strings.HasSuffix(s, "}")
}
