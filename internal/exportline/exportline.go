// Package exportline reads the dialect of JSON in which Kissmetrics exports its
// data.
package exportline

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON returns the JSON that a line of an export stands for. A line that is JSON
// is returned as it is; of any other, only the texts are changed:
//
//   - Three octal digits behind a backslash are the byte of that number: \303\251
//     is é, \042 a quotation mark, \011 a tab.
//   - Bytes that are not UTF-8 are letters of Windows-1252: \231 is ™. The five
//     that it has no letter for are the control characters of their number, so
//     that two different bytes are never read as one.
//   - \' is an apostrophe, and control characters stand for themselves.
//   - A backslash that begins no escape stands for itself, and so does half of a
//     surrogate pair: \ud800 is six characters. A text with such a backslash, like
//     C:\Users\bob, was written without escaping any: then \b is no backspace, and
//     the others stand for themselves too. Only quotes and octal digits of bytes
//     beyond ASCII, which are always escaped, still are what they are elsewhere.
//
// What is broken outside of texts stays broken.
func JSON(line []byte) []byte {
	if isPlain(line) {
		return line
	}
	mended := make([]byte, 0, len(line)+16)
	for len(line) > 0 {
		start := bytes.IndexByte(line, '"') + 1
		text, ok := textBefore(line[start:])
		if start == 0 || !ok {
			mended = append(mended, line...) // no further text, or none that ends
			break
		}
		mended = append(mended, line[:start]...)
		mended = append(appendText(mended, text), '"')
		line = line[start+len(text)+1:]
	}
	if utf8.Valid(mended) {
		return mended
	}
	return letters(mended)
}

// isPlain reports whether a line has nothing that JSON could change.
func isPlain(line []byte) bool {
	for _, c := range line {
		if c == '\\' || c < ' ' {
			return false
		}
	}
	return utf8.Valid(line)
}

// textBefore returns what stands before the first quotation mark that is not
// escaped; ok is false where there is none.
func textBefore(line []byte) (text []byte, ok bool) {
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '"':
			return line[:i], true
		case '\\':
			i++
		}
	}
	return nil, false
}

// An escape is what a backslash and the bytes behind it stand for.
type escape int

const (
	none        escape = iota // the backslash itself
	ofJSON                    // what JSON says
	ofQuote                   // the quotation mark behind it
	apostrophe                // an apostrophe
	octal                     // an ASCII character
	octalBeyond               // a byte beyond ASCII
)

// escapeAt returns what text begins with, and how many bytes that is.
func escapeAt(text []byte) (kind escape, size int) {
	if len(text) < 2 {
		return none, 1 // the second of two in a raw text
	}
	switch text[1] {
	case '"':
		return ofQuote, 2
	case '\\', '/', 'b', 'f', 'n', 'r', 't':
		return ofJSON, 2
	case '\'':
		return apostrophe, 2
	case 'u':
		if size = unicodeEscape(text); size > 0 {
			return ofJSON, size
		}
	case '0', '1':
		if isOctal(text) {
			return octal, 4
		}
	case '2', '3':
		if isOctal(text) {
			return octalBeyond, 4
		}
	}
	return none, 1
}

func isOctal(text []byte) bool {
	return len(text) >= 4 && text[2] >= '0' && text[2] <= '7' && text[3] >= '0' && text[3] <= '7'
}

// unicodeEscape returns the length of the one or two escapes \u that text begins
// with and that stand for a character, or zero.
func unicodeEscape(text []byte) int {
	switch first, ok := unicodeUnit(text); {
	case !ok:
		return 0
	case !utf16.IsSurrogate(first):
		return 6
	default:
		if second, ok := unicodeUnit(text[6:]); ok && utf16.DecodeRune(first, second) != utf8.RuneError {
			return 12
		}
		return 0
	}
}

// unicodeUnit returns the number of the escape \u that text begins with.
func unicodeUnit(text []byte) (unit rune, ok bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	for _, c := range text[2:6] {
		switch lower := c | 0x20; {
		case '0' <= c && c <= '9':
			unit = unit<<4 | rune(c-'0')
		case 'a' <= lower && lower <= 'f':
			unit = unit<<4 | rune(lower-'a'+10)
		default:
			return 0, false
		}
	}
	return unit, true
}

// isRaw reports whether a text has a backslash that begins no escape.
func isRaw(text []byte) bool {
	for i := 0; i < len(text); {
		size := 1
		if text[i] == '\\' {
			var kind escape
			if kind, size = escapeAt(text[i:]); kind == none {
				return true
			}
		}
		i += size
	}
	return false
}

// appendText appends a text, without its quotation marks, as JSON.
func appendText(dst, text []byte) []byte {
	raw := isRaw(text)
	for i := 0; i < len(text); {
		if text[i] != '\\' {
			dst = appendChar(dst, text[i])
			i++
			continue
		}
		kind, size := escapeAt(text[i:])
		if raw && (kind == ofJSON || kind == octal) {
			kind, size = none, 1
		}
		switch kind {
		case none:
			dst = append(dst, `\\`...)
		case ofJSON, ofQuote:
			dst = append(dst, text[i:i+size]...)
		case apostrophe:
			dst = append(dst, '\'')
		case octal, octalBeyond:
			dst = appendChar(dst, (text[i+1]-'0')<<6|(text[i+2]-'0')<<3|(text[i+3]-'0'))
		}
		i += size
	}
	return dst
}

// appendChar appends a byte of a text as JSON.
func appendChar(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c < ' ':
		return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
	return append(dst, c)
}

// letters returns a text in which bytes that are not UTF-8 are letters.
func letters(text []byte) []byte {
	var dst []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			r = letter(text[0])
		}
		dst = utf8.AppendRune(dst, r)
		text = text[size:]
	}
	return dst
}

// letter returns the letter of Windows-1252 that a byte beyond ASCII is.
func letter(c byte) rune {
	// From 0x80 on. Zero is a byte without a letter.
	beyondLatin1 := [32]rune{
		'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
		0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ',
	}
	if c < 0xa0 && beyondLatin1[c-0x80] != 0 {
		return beyondLatin1[c-0x80]
	}
	return rune(c) // the rest is Latin-1, whose numbers are those of Unicode
}
