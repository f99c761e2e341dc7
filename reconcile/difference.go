package reconcile

import (
	"strings"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Side is one of the two sides of a comparison.
type Side uint8

const (
	// Sent is what was sent.
	Sent Side = iota
	// Exported is what Kissmetrics exports.
	Exported
)

// String returns "sent" or "exported".
func (s Side) String() string {
	if s == Sent {
		return "sent"
	}
	return "exported"
}

// A Kind says how a record that was sent differs from what is exported.
type Kind uint8

const (
	// Missing is a record for which there is no row.
	Missing Kind = iota + 1
	// Dropped is a record that is missing although another is there that the old rule
	// for duplicates takes for the same: an event of the same person, name and
	// second with other properties, or another value of a property in that second.
	Dropped
	// Altered is a record whose row says something else.
	Altered
	// Twice is a record for which there are several equal rows.
	Twice
)

// String returns the kind in words.
func (k Kind) String() string {
	switch k {
	case Missing:
		return "missing"
	case Dropped:
		return "dropped as a repeat (old rule)"
	case Altered:
		return "altered"
	case Twice:
		return "twice"
	}
	return "unknown"
}

// A Change is a set of ways in which a record was altered.
type Change uint8

const (
	// Cut says that a value of more than 512 characters has lost its end.
	Cut Change = 1 << iota
	// Moved says that the time is another.
	Moved
	// Merged says that the person is another, but one that an alias of either side
	// joins with the one that was sent.
	Merged
	// Values says that properties are missing, or are others.
	Values
)

// String returns the ways in words, separated by commas.
func (c Change) String() string { return strings.Join(c.Words(), ", ") }

// Words returns the ways in words.
func (c Change) Words() []string {
	var words []string
	for i, word := range []string{"cut", "time moved", "person merged", "properties differ"} {
		if c&(1<<i) != 0 {
			words = append(words, word)
		}
	}
	return words
}

// A Difference is one between a record that was sent and what is exported.
type Difference struct {
	Kind Kind
	// Changes says in which ways the record was altered; none for another Kind.
	Changes Change
	// Sent is what was sent. Of a record of properties of which a part arrived, it
	// is the rest.
	Sent kissmetrics.Record
	// Exported is the row that is taken for it, if Kind is Altered or Twice. It is
	// the zero Record if what was cut is a record of properties.
	Exported kissmetrics.Record
	// Rows is how many equal rows there are, if Kind is Twice.
	Rows int
	// Properties are the names of the properties that were cut, differ or are
	// missing, as they were sent, or as exported where they were not sent.
	Properties []string
}

// String describes the difference without identities and values.
func (d Difference) String() string {
	s := d.Kind.String()
	if d.Changes != 0 {
		s += " (" + d.Changes.String() + ")"
	}
	return s + ": " + d.Sent.String()
}

// Counts are those of a comparison. Every record that was sent is counted once in
// Arrived, Repeats, Missing, Dropped or Altered.
type Counts struct {
	Sent               int64 `json:"sent"`           // records that were sent
	Exported           int64 `json:"exported"`       // rows that are exported
	UnreadableSent     int64 `json:"unreadableSent"` // lines that cannot be read, and are not compared
	UnreadableExported int64 `json:"unreadableExported"`
	Arrived            int64 `json:"arrived"` // sent and there, unaltered
	Repeats            int64 `json:"repeats"` // sent again although the same was sent before
	Missing            int64 `json:"missing"`
	Dropped            int64 `json:"dropped"`
	Altered            int64 `json:"altered"`
	Cut                int64 `json:"cut"` // of those that are altered; one can be altered in several ways
	Moved              int64 `json:"moved"`
	Merged             int64 `json:"merged"`
	Values             int64 `json:"values"`
	Twice              int64 `json:"twice"`  // of those that arrived
	Unsent             int64 `json:"unsent"` // rows of what was not sent
	// Unpaired is how many records could not be looked for at another time or under
	// another identity, because one person has too many that say the same: more than
	// fit into memory. Those that were moved or merged are missing.
	Unpaired int64 `json:"unpaired"`
	// UnusedAliases is how many aliases found no room in memory. Records
	// that were merged by these only are missing.
	UnusedAliases int64 `json:"unusedAliases"`
}

// Complete reports whether every record arrived unaltered, and every line could be
// read. Records that are there twice are complete.
func (c Counts) Complete() bool {
	return c.Missing+c.Dropped+c.Altered+c.UnreadableSent+c.UnreadableExported == 0
}

// count counts a difference.
func (c *Counts) count(d *Difference) {
	switch d.Kind {
	case Missing:
		c.Missing++
	case Dropped:
		c.Dropped++
	case Twice:
		c.Twice++
	case Altered:
		c.Altered++
	}
	for i, n := range []*int64{&c.Cut, &c.Moved, &c.Merged, &c.Values} {
		if d.Changes&(1<<i) != 0 {
			*n++
		}
	}
}
