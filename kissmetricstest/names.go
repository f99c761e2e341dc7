package kissmetricstest

import (
	"strings"
	"unicode/utf8"
)

// normal returns a name with spaces for commas and colons.
func normal(name string) string {
	return strings.NewReplacer(",", " ", ":", " ").Replace(name)
}

// foldName returns what is the same for all spellings of the name of an event or
// a property.
func foldName(name string) string { return foldText(normal(name)) }

// isParameter reports whether a name is the protocol's own.
func isParameter(name string) bool {
	return strings.HasPrefix(name, "_") && !strings.HasPrefix(name, "__")
}

// isKnownParameter reports whether a name is one that Kissmetrics or one of its
// senders is known to use.
func isKnownParameter(name string) bool {
	switch strings.ToLower(name) {
	case "_k", "_p", "_n", "_t", "_d", "_c", "_u", "_umid", "_ip", "_ua", "_server_timestamp":
		return true
	}
	return name == "_" // what is appended so that no cache answers
}

// isShared reports whether an identity is one that many people share.
func isShared(identity string) bool {
	switch strings.ToLower(strings.Trim(identity, " '\"")) {
	case "", "anonymous", "guest", "visitor", "unknown", "no name", "your_identifier_here",
		"null", "nil", "none", "missing", "undefined", "nan", "[object object]":
		return true
	}
	return false
}

// foldText returns what is the same for all spellings of a text, if it is one.
func foldText(s string) string {
	if !utf8.ValidString(s) {
		return s // rather than to make one of two that differ in their wrong bytes
	}
	return strings.ToLower(s)
}
