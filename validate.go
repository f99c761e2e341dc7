package kissmetrics

import (
	"time"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// maxRecordValue is how many characters a value of a record can have. Kissmetrics
// once documented so many bytes, and says nothing of what it does with more than
// [MaxValueLength] characters; exports of those days hold such values.
const maxRecordValue = 8 << 10

// Validate reports what Kissmetrics would drop without a word, as one or
// several joined [*ValidationError]: a person or name that is blank or longer
// than 255 characters, a person whom many people share (see [Message]), a Time
// before 2009-01-01 or after the year 9999, an alias of an identity to itself, a
// property name that is blank, reserved, longer than 255 characters or the same to
// Kissmetrics as that of another value, a value longer than 8192 characters, and
// text that is not UTF-8.
//
// Only an alias may be without a Time, because any other record without one cannot
// be sent twice safely.
func (r Record) Validate() error {
	var p problems
	r.validate(&p)
	return p.err()
}

func (r *Record) validate(p *problems) {
	r.validateHead(p)
	for i := range r.Properties {
		property := &r.Properties[i]
		validateName(p, property.Name)
		if i > 0 && property.Name <= r.Properties[i-1].Name {
			p.add("property", quoted(property.Name)+" is not in the order of names")
		}
		validateValue(p, property)
	}
	validateDistinct(p, r.Properties)
}

// validateHead checks all but the properties.
func (r *Record) validateHead(p *problems) {
	if r.Kind == KindAlias {
		r.validateAlias(p)
		return
	}
	if reason := identityProblem(r.Person); reason != "" {
		p.add("identity", reason)
	}
	switch r.Kind {
	case KindEvent:
		validateEvent(p, r.Name)
	case KindProperties:
		if r.Name != "" {
			p.add("event", "a record of properties has no name")
		}
	default:
		p.add("type", "unknown kind of record")
	}
	if reason := timeProblem(r.Time); reason != "" {
		p.add("timestamp", reason)
	}
}

func (r *Record) validateAlias(p *problems) {
	validateMerge(p, r.Person, r.Name)
	if reason := timeProblem(r.Time); reason != "" && !r.Time.IsZero() {
		p.add("timestamp", reason)
	}
	if len(r.Properties) > 0 {
		p.add("property", "an alias has no properties")
	}
}

// validateMerge checks the two identities of an alias, which cannot be undone.
func validateMerge(p *problems, previousID, userID string) {
	add := func(field, reason string) {
		if reason == sharedIdentity {
			reason += "; an alias would make them one, for good"
		}
		if reason != "" {
			p.add(field, reason)
		}
	}
	previous, user := identityProblem(previousID), identityProblem(userID)
	add("previousId", previous)
	add("userId", user)
	if previous == "" && user == "" && name.SameIdentity(previousID, userID) {
		p.add("previousId", "is the same as userId to Kissmetrics, which does not tell case apart")
	}
}

const sharedIdentity = "is an identity that many people share"

// identityProblem says why an identity cannot be one person's, or nothing.
func identityProblem(identity string) string {
	switch {
	case name.Blank(identity):
		return "is missing"
	case name.TooLong(identity):
		return "has more than 255 characters"
	case !utf8.ValidString(identity):
		return "is not valid UTF-8"
	case name.Generic(identity):
		return sharedIdentity
	}
	return ""
}

// timeProblem says why Kissmetrics would not keep what happened at a time, or
// nothing.
func timeProblem(t time.Time) string {
	switch seconds := t.Unix(); {
	case t.IsZero():
		return "is missing"
	case seconds < name.Earliest:
		return "is before 2009-01-01"
	case seconds > name.Latest:
		return "is after the year 9999 (milliseconds taken for seconds?)"
	}
	return ""
}

func validateEvent(p *problems, event string) {
	switch {
	case name.Blank(event):
		p.add("event", "is missing")
	case name.TooLong(event):
		p.add("event", "has more than 255 characters")
	case !utf8.ValidString(event):
		p.add("event", "is not valid UTF-8")
	}
}

func validateName(p *problems, s string) {
	switch {
	case name.Blank(s):
		p.add("property", "a name is blank")
	case s[0] != '_' && len(s) <= name.MaxChars && isPlain(s): // as most are
	case name.TooLong(s):
		p.add("property", "the name "+quoted(s)+" has more than 255 characters")
	case name.Reserved(s):
		p.add("property", "the name "+quoted(s)+" is reserved")
	case !utf8.ValidString(s):
		p.add("property", "the name "+quoted(s)+" is not valid UTF-8")
	}
}

func validateValue(p *problems, property *Property) {
	switch value := property.Value; {
	case !property.Literal && len(value) <= maxRecordValue && isPlain(value): // as most are
	case name.Longer(value, maxRecordValue):
		p.add("property", quoted(property.Name)+" has more than 8192 characters")
	case property.Literal && value != "true" && value != "false" && !decimal.IsNumber(value):
		p.add("property", quoted(property.Name)+" is neither a number nor a boolean")
	case !utf8.ValidString(value):
		p.add("property", quoted(property.Name)+" is not valid UTF-8")
	}
}

// validateDistinct finds names that Kissmetrics takes for one, of which it
// would keep one value and lose the other.
func validateDistinct(p *problems, properties []Property) {
	const few = 64 // up to which comparing each with each is the fastest
	if len(properties) <= few && !hasSame(properties) {
		return
	}
	first := make(map[string]Property, len(properties))
	for _, b := range properties {
		folded := name.Fold(b.Name)
		if a, ok := first[folded]; !ok {
			first[folded] = b
		} else if a.Value != b.Value {
			p.add("property", indistinct(a.Name, b.Name))
		}
	}
}

// hasSame reports whether two different names are one to Kissmetrics.
func hasSame(properties []Property) bool {
	for i := range properties {
		if name.IsFolded(properties[i].Name) {
			continue
		}
		for j := range properties {
			if i != j && name.Same(properties[i].Name, properties[j].Name) {
				return true
			}
		}
	}
	return false
}

func indistinct(a, b string) string {
	return quoted(a) + " and " + quoted(b) + " are the same name to Kissmetrics, with different values"
}
