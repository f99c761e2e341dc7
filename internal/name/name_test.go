package name_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

func TestNamesThatAreOne(t *testing.T) {
	for _, pair := range [][2]string{
		{"Plan", "pLAN"}, {"a,b", "A b"}, {"a:b", "a,b"}, {"É", "é"}, {"ſ", "S"}, {"\u212A", "k"}, {"\u212B", "å"},
		{"Σ", "ς"}, {"ς", "σ"}, {"ß", "ẞ"}, {"Ж", "ж"}, {"", ""},
	} {
		assert.True(t, name.Same(pair[0], pair[1]), "%q", pair)
		assert.Equal(t, name.Fold(pair[0]), name.Fold(pair[1]), "%q", pair)
	}
	for _, pair := range [][2]string{
		{"a", "b"}, {"a", "ab"}, {"a b", "ab"}, {"e", "é"}, {"ss", "ß"}, {"é", "e\u0301"}, {"i", "İ"}, {"i", "ı"}, {"_k", "k"}, {"", " "},
	} {
		assert.False(t, name.Same(pair[0], pair[1]), "%q", pair)
		assert.NotEqual(t, name.Fold(pair[0]), name.Fold(pair[1]), "%q", pair)
	}
}

// TestFoldIsThatOfEqualFold: for every letter, folds are equal where the
// standard library says that the letters are, and folding twice is folding once.
func TestFoldIsThatOfEqualFold(t *testing.T) {
	byFold := make(map[string][]rune)
	for r := range rune(unicode.MaxRune + 1) {
		if r == ',' || r == ':' || !utf8.ValidRune(r) {
			continue
		}
		folded := name.Fold(string(r))
		if folded != name.Fold(folded) || folded != name.FoldIdentity(string(r)) || !strings.EqualFold(string(r), folded) {
			t.Fatalf("%q folds to %q", r, folded)
		}
		if unicode.SimpleFold(r) == r {
			if folded != string(r) {
				t.Fatalf("%q, which has no case, folds to %q", r, folded)
			}
			continue
		}
		byFold[folded] = append(byFold[folded], r)
	}
	for folded, runes := range byFold {
		orbit := 1
		for r := unicode.SimpleFold(runes[0]); r != runes[0]; r = unicode.SimpleFold(r) {
			orbit++
		}
		if len(runes) != orbit {
			t.Fatalf("%q fold to %q", runes, folded)
		}
	}
}

func TestIdentitiesThatAreOne(t *testing.T) {
	assert.True(t, name.SameIdentity("Bob@x.com", "bob@X.com"))
	assert.True(t, name.SameIdentity(" u1\u00a0", "u1"))
	assert.False(t, name.SameIdentity("a:b", "a b"), "commas and colons are those of names")
	assert.Equal(t, "a:b,é ", name.FoldIdentity("A:B,É "))
	assert.Equal(t, "as it is", name.FoldIdentity("as it is"))
}

func TestReservedAndProtocolNames(t *testing.T) {
	for _, s := range []string{"_k", "_P", "_n", "_T", "_d", "_p2", "_P2", "_\u212A"} {
		assert.True(t, name.Reserved(s), s)
		assert.False(t, name.Protocol(s), s)
	}
	for _, s := range []string{"_c", "_U", "_umid", "_ip", "_UA", "_Server_Timestamp"} {
		assert.True(t, name.Protocol(s), s)
		assert.False(t, name.Reserved(s), s)
	}
	for _, s := range []string{"", "_", "k", "_key", "_k ", "__k", "p2", "Billing Amount"} {
		assert.False(t, name.Reserved(s), s)
		assert.False(t, name.Protocol(s), s)
	}
}

func TestGenericIdentities(t *testing.T) {
	for _, s := range []string{
		"anonymous", "Guest", "NULL", "undefined", "none", "Missing", "no name", "YOUR_IDENTIFIER_HERE", "[object Object]", "[object Null]",
		"'null'", `"null"`, "'nil'", "''", `""`, " null ", "\u00a0guest\t", "' null '", "“undefined”", "`guest`", `"'null'"`,
		"(null)", "<null>", "<nil>", "<no value>", "(not set)", "NaN", "0", "00", "0.0", "-0", "-1", "true", "FALSE",
		"00000000-0000-0000-0000-000000000000", "{00000000-0000-0000-0000-000000000000}", "{{ user.id }}", "${userId}",
		"anonymousUser", "id", "email", "distinct_id", "distinctid", "n/a", "{}", "[]", "", " ",
	} {
		assert.True(t, name.Generic(s), "%q", s)
	}
	for _, s := range []string{
		"u1", "Nullman", "guest1", "10", "1", "-", "'", `"`, "()x", "o'null'", "userId", "anon-1", "nan@x.com", "0a", "user 0",
		"e6ab2c5e-2cda-44a9-a962-e2f67df78bca", "{e6ab2c5e}", "[object", "$", "{u1}", "old id",
	} {
		assert.False(t, name.Generic(s), "%q", s)
	}
}

func TestBlankAndTrim(t *testing.T) {
	for _, s := range []string{"", " ", "\t\n", "\u00a0", "\u3000", "\u2003 ", "\ufeff", "\u200b", "\x00", "\x7f", "\u00ad", "\u3164", "\ufe0f", "\u0085"} {
		assert.True(t, name.Blank(s), "%q", s)
		assert.Empty(t, name.Trim(s), "%q", s)
		assert.Equal(t, "a"+s+"b", name.Trim(s+"a"+s+"b"+s), "%q", s)
	}
	for _, s := range []string{"a", " a", "\u00a0a", ".", "\xff", "é", "\u0600", "👩\u200d🚀"} {
		assert.False(t, name.Blank(s), "%q", s)
	}
}

func TestLengthsAreCharacters(t *testing.T) {
	full := strings.Repeat("é", name.MaxChars)
	assert.False(t, name.TooLong(full))
	assert.True(t, name.TooLong(full+"x"))
	assert.True(t, name.TooLong(strings.Repeat("日", 2000)))
	assert.Equal(t, full, name.Cut(full, name.MaxChars))
	assert.Equal(t, full, name.Cut(full+"日x", name.MaxChars))
	assert.Equal(t, "日", name.Cut("日本", 1))
	assert.Empty(t, name.Cut("日本", 0))
	assert.Equal(t, "ab", name.Cut("ab", 2))
	assert.Equal(t, "ab", name.Cut("abc", 2))
	assert.Equal(t, "日本", name.Cut("日本", 2))
}

func TestValid(t *testing.T) {
	for s, want := range map[string]string{
		"": "", "é": "é", "a\xff\xfeb": "a\uFFFDb",
		strings.Repeat("a", 40) + "\xff": strings.Repeat("a", 40) + "\uFFFD",
		strings.Repeat("a", 40):          strings.Repeat("a", 40),
	} {
		assert.Equal(t, want, name.Valid(s))
	}
}

func FuzzName(f *testing.F) {
	f.Add("Plan:É", "plan é", 3)
	f.Add("\xff", "\u0130", 0)
	f.Fuzz(func(t *testing.T, a, b string, limit int) {
		a, b = name.Valid(a), name.Valid(b)
		require.Equal(t, name.Fold(a) == name.Fold(b), name.Same(a, b))
		require.Equal(t, name.Fold(a), name.Fold(name.Fold(a)))
		require.Equal(t, name.Fold(a), string(name.AppendFold(nil, a)))
		require.Equal(t, name.Trim(a) == "", name.Blank(a))
		if limit >= 0 {
			cut := name.Cut(a, limit)
			require.True(t, strings.HasPrefix(a, cut))
			require.Equal(t, cut != a, name.Longer(a, limit))
			require.Equal(t, min(limit, utf8.RuneCountInString(a)), utf8.RuneCountInString(cut))
		}
		if name.Generic(a) {
			require.True(t, name.Generic(" '"+strings.ToUpper(a)+"' ") || strings.ToUpper(a) != strings.ToUpper(strings.ToLower(a))) //nolint:staticcheck // EqualFold folds otherwise
		}
	})
}
