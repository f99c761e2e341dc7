package kissmetricstest

// An Option changes a rule that a [Server] follows.
type Option interface{ apply(*rules) }

// rules are those of Kissmetrics' rules that are not certain.
type rules struct {
	oldDuplicates bool
	caseSensitive bool // of identities
}

type option func(*rules)

func (o option) apply(r *rules) { o(r) }

// WithOldDuplicateRule makes the server follow the rule for duplicates that
// Kissmetrics documented until 2016. An event is ignored if one with the same
// person, name and second was seen, whatever its properties; these are judged
// by themselves. A property is ignored if one with the same person, name and
// second was seen, whatever its value.
//
// Which of two duplicates counted was not documented, and looked random to those
// who asked. The server keeps the first.
//
// A test that passes under both rules does not depend on either.
func WithOldDuplicateRule() Option {
	return option(func(r *rules) { r.oldDuplicates = true })
}

// WithCaseSensitiveIdentities makes the server take identities that differ in
// case for different people.
func WithCaseSensitiveIdentities() Option {
	return option(func(r *rules) { r.caseSensitive = true })
}
