package kissmetricstest

import (
	"strings"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/importline"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// normal returns a name with spaces for commas and colons.
func normal(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, ",", " "), ":", " ") }

// foldName returns what is the same for all spellings of the name of an event or
// a property.
func foldName(s string) string {
	if !utf8.ValidString(s) {
		return normal(s) // rather than to make one of two that differ in their wrong bytes
	}
	return name.Fold(s)
}

// foldIdentity returns what is the same for all spellings of an identity.
func (r rules) foldIdentity(s string) string {
	if r.caseSensitive || !utf8.ValidString(s) {
		return s
	}
	return name.FoldIdentity(s)
}

// isKnownParameter reports whether a name is one that Kissmetrics or one of its
// senders is known to use.
func isKnownParameter(s string) bool {
	const cacheBuster = "_" // is appended so that no cache answers
	return s == cacheBuster || isHead(s) || name.Protocol(s)
}

// isHead reports whether a name is one that the tracking API itself reads.
func isHead(s string) bool {
	switch s {
	case "_k", "_p", "_n", "_t", "_d":
		return true
	}
	return false
}

// isParameter reports whether a name is the protocol's own.
func isParameter(s string) bool { return importline.IsProtocol(s) }
