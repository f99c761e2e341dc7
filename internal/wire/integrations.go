package wire

import (
	"errors"
	"strings"
	"unicode"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// Integrations say which destinations a message is for.
type Integrations struct{ kissmetrics, all answer }

// answer is what a member says of its destination.
type answer uint8

const (
	unsaid answer = iota
	yes
	no
)

// Excluded reports whether the message is not for Kissmetrics.
func (i Integrations) Excluded() bool {
	if i.kissmetrics != unsaid {
		return i.kissmetrics == no
	}
	return i.all == no
}

// Over returns what a message's integrations say together with those of its batch:
// of each destination, what the message says, and else what the batch says.
func (i Integrations) Over(batch Integrations) Integrations {
	if i.kissmetrics == unsaid {
		i.kissmetrics = batch.kissmetrics
	}
	if i.all == unsaid {
		i.all = batch.all
	}
	return i
}

// ReadIntegrations reads the value of a member "integrations". Names are compared
// without regard to spaces, punctuation and case. Booleans count, also as texts and
// as the numbers 0 and 1; settings mean yes; anything else says nothing. Where two
// spellings of one name disagree, no counts.
func ReadIntegrations(r *jsonwalk.Reader) (i Integrations, err error) {
	if r.Kind() != '{' {
		return i, r.Skip()
	}
	err = r.Members(func(name []byte) error {
		said := i.of(name)
		if said == nil {
			return r.Skip()
		}
		v, err := r.Raw()
		*said = max(*said, Value(v).answer())
		return err
	})
	return i, err
}

// of returns where what is said of a destination belongs, or nil.
func (i *Integrations) of(name []byte) *answer {
	const longest = 100 // bytes of a name with that many spaces
	if len(name) > longest {
		return nil
	}
	switch string(name) {
	case "All":
		return &i.all // without an allocation
	}
	switch strings.Map(letter, string(name)) {
	case "kissmetrics":
		return &i.kissmetrics
	case "all":
		return &i.all
	}
	return nil
}

// letter returns a letter or digit in lower case, and -1 for anything else.
func letter(r rune) rune {
	if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
		return -1
	}
	return unicode.ToLower(r)
}

// answer returns what a value says of a destination.
func (v Value) answer() answer {
	switch v.kind() {
	case 't':
		return yes
	case 'f':
		return no
	case '"':
		switch strings.ToLower(strings.TrimSpace(v.text())) {
		case "true":
			return yes
		case "false":
			return no
		}
	case '0':
		switch string(v) {
		case "1":
			return yes
		case "0":
			return no
		}
	case '{':
		if !jsonwalk.Object(v).IsEmpty() {
			return yes
		}
	}
	return unsaid
}

// Excluded reports whether a message says that it is not for Kissmetrics. What is no
// message says nothing.
func Excluded(data []byte) bool {
	excluded, err := readExcluded(data)
	if _, ok := errors.AsType[*jsonwalk.Error](err); ok {
		if mended, ok := jsonwalk.Mend(data); ok {
			excluded, err = readExcluded(mended)
		}
	}
	return excluded && err == nil
}

func readExcluded(data []byte) (bool, error) {
	var i Integrations
	r := jsonwalk.NewReader(data)
	err := r.Members(func(name []byte) (err error) {
		if string(name) == "integrations" {
			i, err = ReadIntegrations(r)
			return err
		}
		return r.Skip()
	})
	return i.Excluded(), err
}
