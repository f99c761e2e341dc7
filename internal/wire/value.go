package wire

import (
	"bytes"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A Value is a value of a member as it is written, and nil where there is no such
// member.
type Value []byte

// kind returns the first byte of a value: one of { [ " t f n and, for any number, 0.
// That of no value is n.
func (v Value) kind() byte {
	if len(v) == 0 {
		return 'n'
	}
	switch c := v[0]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	}
	return '0'
}

// isAbsent reports whether a value says nothing.
func (v Value) isAbsent() bool { return v.kind() == 'n' || string(v) == `""` }

// isNoObject reports whether a value stands for no object. An empty list is what PHP
// makes of an empty one, and an empty text says nothing.
func (v Value) isNoObject() bool {
	switch v.kind() {
	case '[':
		return len(bytes.TrimSpace(v[1:len(v)-1])) == 0
	case '"':
		return len(bytes.TrimSpace(jsonwalk.Unquote(v))) == 0
	}
	return v.kind() == 'n'
}

// nests reports whether a value is an object, or the empty list that PHP writes for
// one.
func (v Value) nests() bool { return v.kind() == '{' || v.kind() == '[' && v.isNoObject() }

// text returns the text that a value is, and an empty one for any other value.
func (v Value) text() string { return string(jsonwalk.Unquote(v)) }

// plain returns a text, or a number in plain decimal. What is absent is empty; ok is
// false for anything else.
func (v Value) plain() (text string, ok bool) {
	const longest = 255 // digits that Kissmetrics keeps of any name
	switch v.kind() {
	case 'n':
		return "", true
	case '"':
		return v.text(), true
	case '0':
		return decimal.Plain(string(v), longest)
	}
	return "", false
}

// title returns a text for a name. False and 0 are what some programs write for
// none.
func (v Value) title() (name string, ok bool) {
	if v.kind() == 'f' {
		return "", true
	}
	name, ok = v.plain()
	if v.kind() == '0' && name == "0" {
		return "", true
	}
	return name, ok
}

// messageType returns the type of a message.
func (v Value) messageType() (string, error) {
	if v.isAbsent() {
		return "", &Error{Field: "type", Reason: "is missing"}
	}
	if v.kind() != '"' {
		return "", &Error{Field: "type", Reason: "is not a text"}
	}
	if kind := typeNamed(v.text()); kind != "" {
		return kind, nil
	}
	return "", &Error{Field: "type", Reason: "is none of identify, page, screen, track, group and alias"}
}

// typeNamed returns the type that a name in any case is of, or an empty text.
func typeNamed(name string) string {
	name = strings.ToLower(strings.TrimSpace(name))
	for _, kind := range [...]string{"identify", "page", "screen", "track", "group", "alias"} {
		if kind == name {
			return kind
		}
	}
	return ""
}
