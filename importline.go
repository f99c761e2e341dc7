package kissmetrics

import (
	"encoding/json/jsontext"
	"strconv"

	"github.com/kissmetrics-go/kissmetrics/internal/lines"
)

// AppendImport appends the lines of Kissmetrics' bulk import that records have, each
// with its end, as [ImportWriter] writes them and by the rules of that. If a record is
// refused, dst is returned as it was, with the error.
func AppendImport(dst []byte, records []Record) ([]byte, error) {
	var p problems
	written := dst
	for i := range records {
		r := &records[i]
		before := len(p)
		r.validate(&p)
		if r.Kind == KindAlias && r.Time.IsZero() {
			p.add("timestamp", "is missing, which an import needs of an alias too")
		}
		if len(p) > before || r.Kind == KindProperties && len(r.Properties) == 0 {
			continue
		}
		start := len(written)
		written = r.appendLine(written)
		if len(written)-start > lines.MaxBytes {
			p.add("message", lines.ErrTooLong.Error())
		}
		written = append(written, '\n')
	}
	if err := p.err(); err != nil {
		return dst, err
	}
	return written, nil
}

// MarshalJSON returns the record as a line of Kissmetrics' bulk import, without
// the line's end: an object of _p, _t, _n for an event or _p2 for the other
// identity of an alias, and the properties. It is also the form to store a record
// in, since it holds no API key. A record that is not valid has no such form: the
// error is that of [Record.Validate].
func (r Record) MarshalJSON() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return r.appendLine(nil), nil
}

// appendLine appends the line of a record that is valid.
func (r *Record) appendLine(dst []byte) []byte {
	dst = appendText(append(dst, `{"_p":`...), r.Person)
	if !r.Time.IsZero() {
		dst = strconv.AppendInt(append(dst, `,"_t":`...), r.Time.Unix(), 10)
	}
	switch r.Kind {
	case KindEvent:
		dst = appendText(append(dst, `,"_n":`...), r.Name)
	case KindAlias:
		dst = appendText(append(dst, `,"_p2":`...), r.Name)
	}
	for i := range r.Properties {
		p := &r.Properties[i]
		dst = append(appendText(append(dst, ','), p.Name), ':')
		if p.Literal {
			dst = append(dst, p.Value...)
		} else {
			dst = appendText(dst, p.Value)
		}
	}
	return append(dst, '}')
}

// appendText appends a text as JSON.
func appendText(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // fails on what is not UTF-8, which no valid record has
	return dst
}
