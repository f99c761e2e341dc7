package kissmetrics

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json/jsontext"
	"log/slog"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/go-querystring/query"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
	"github.com/kissmetrics-go/kissmetrics/internal/pack"
	internal "github.com/kissmetrics-go/kissmetrics/internal/query"
)

// A Kind is the kind of a [Record], hence the path of the tracking API that
// takes it.
type Kind int

const (
	// KindEvent is something that a person did (/e).
	KindEvent Kind = iota + 1
	// KindProperties sets properties of a person (/s).
	KindProperties
	// KindAlias joins two identities into one person (/a).
	KindAlias
)

// String returns "event", "properties" or "alias".
func (k Kind) String() string {
	switch k {
	case KindEvent:
		return "event"
	case KindProperties:
		return "properties"
	case KindAlias:
		return "alias"
	}
	return "Kind(" + strconv.Itoa(int(k)) + ")"
}

// Path returns the path of the tracking API that takes such a record: "/e",
// "/s" or "/a", and the empty string for an unknown kind.
func (k Kind) Path() string {
	switch k {
	case KindEvent:
		return "/e"
	case KindProperties:
		return "/s"
	case KindAlias:
		return "/a"
	}
	return ""
}

// A Property is one name and one value as they are sent to Kissmetrics.
type Property struct {
	Name string
	// Value is the text that is sent. Kissmetrics itself takes the text "123"
	// for a number.
	Value string
	// Literal says that Value is a number or a boolean as JSON writes them,
	// rather than text. The tracking API knows no such difference; the import
	// line and the queue of a page do.
	Literal bool
}

// A Record is one request of Kissmetrics' tracking API, or one line of its bulk
// import. It never holds an API key.
//
// [Transform] makes records that are valid. A record made by hand is checked by
// [Record.Validate], which every [Sender] of this module calls.
type Record struct {
	Kind Kind
	// Person is the identity of the person; for an alias, the previous one.
	Person string
	// Name is the name of the event, the other identity of an alias, and empty
	// for properties.
	Name string
	// Time is when it happened, in whole seconds: fractions are not sent. It makes
	// it safe to send a record twice, because Kissmetrics ignores an event that it
	// has seen with the same person, name, second and properties, and a property
	// that it has seen with the same person, second and value. By its older
	// documents it ignores them even if the properties, or the value, differ. The
	// tracking API takes no time for an alias.
	Time time.Time
	// Properties are sorted by name, and no name occurs twice.
	Properties []Property
}

// NewEvent returns the record of something that a person did, with its properties
// in order. It is checked when it is sent; see [Record.Validate].
func NewEvent(person, name string, at time.Time, properties ...Property) Record {
	return Record{Kind: KindEvent, Person: person, Name: name, Time: at, Properties: sorted(properties)}
}

// NewProperties returns the record of properties of a person, in order.
func NewProperties(person string, at time.Time, properties ...Property) Record {
	return Record{Kind: KindProperties, Person: person, Time: at, Properties: sorted(properties)}
}

// NewAlias returns the record of an alias: the person who was known by previousID
// is known by userID now. The tracking API takes no time for it; a bulk import
// needs one.
func NewAlias(previousID, userID string, at time.Time) Record {
	return Record{Kind: KindAlias, Person: previousID, Name: userID, Time: at}
}

// sorted returns a copy of properties in the order of their names.
func sorted(properties []Property) []Property {
	properties = slices.Clone(properties)
	slices.SortStableFunc(properties, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	return properties
}

// Text returns a property whose value is a text.
func Text(name, value string) Property { return Property{Name: name, Value: value} }

// Number returns a property whose value is a number, in plain decimal. A record
// with NaN or an infinity is not valid.
func Number[N ~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64](name string, value N) Property {
	var text string
	switch rv := reflect.ValueOf(value); {
	case rv.CanInt():
		text = strconv.FormatInt(rv.Int(), 10)
	case rv.CanUint():
		text = strconv.FormatUint(rv.Uint(), 10)
	default:
		text = strconv.FormatFloat(rv.Float()+0, 'f', -1, rv.Type().Bits()) // plus 0, so that no zero is negative
	}
	return Property{Name: name, Value: text, Literal: true}
}

// Bool returns a property whose value is "true" or "false".
func Bool(name string, value bool) Property {
	return Property{Name: name, Value: strconv.FormatBool(value), Literal: true}
}

// RepeatKey returns a key that is the same for lists of records that say the same
// to Kissmetrics, and different for all others: it covers the kind of each record,
// its person, its name, its second, and the name and value of every property.
// Identities and names are compared without regard to case, as Kissmetrics
// compares them.
//
// A Sender that stores records may drop a list whose key it has stored before. It
// must not drop one for any lesser likeness: by its [current rule] Kissmetrics
// counts two records of one second that differ in a property as two.
//
// [current rule]: https://support.kissmetrics.io/docs/detecting-duplicates
func RepeatKey(records []Record) [sha256.Size]byte {
	var room [1 << 10]byte // spares most an allocation
	b := room[:0]
	for i := range records {
		b = records[i].appendRepeat(b)
	}
	return sha256.Sum256(b)
}

// appendRepeat appends all that a record says to Kissmetrics.
func (r *Record) appendRepeat(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(r.Kind)) //nolint:gosec // a small number
	b = binary.AppendVarint(b, r.Time.Unix())
	b = appendCounted(b, name.FoldIdentity(r.Person))
	if r.Kind == KindAlias {
		b = appendCounted(b, name.FoldIdentity(r.Name))
	} else {
		var folded [name.MaxChars]byte // spares most an allocation
		b = appendCounted(b, name.AppendFold(folded[:0], r.Name))
	}
	b = binary.AppendUvarint(b, uint64(len(r.Properties)))
	var room [16]Property // spares most an allocation
	for _, p := range appendFolded(room[:0], r.Properties) {
		b = appendCounted(appendCounted(b, p.Name), p.Value)
	}
	return b
}

func appendCounted[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendFolded appends properties with names as Kissmetrics compares them, in their
// order.
func appendFolded(dst, properties []Property) []Property {
	for _, p := range properties {
		dst = append(dst, Property{Name: name.Fold(p.Name), Value: p.Value})
	}
	slices.SortStableFunc(dst, func(a, b Property) int { return strings.Compare(a.Name, b.Name) })
	return dst
}

// parameters is a record as go-querystring encodes it.
type parameters struct {
	Person     string        `url:"_p,omitempty"`
	Name       string        `url:"_n,omitempty"`
	Time       time.Time     `url:"_t,unix,omitempty"`
	Trusted    bool          `url:"_d,int,omitempty"`
	Properties propertyPairs `url:"properties"`
}

type propertyPairs []Property

// EncodeValues implements [query.Encoder]: each property is a parameter.
func (p propertyPairs) EncodeValues(_ string, v *url.Values) error {
	for _, property := range p {
		v.Set(property.Name, property.Value)
	}
	return nil
}

// Values returns the parameters of the record's request, all but the API key:
// _p, _n (not for properties), _t and _d=1 (not for an alias, nor where Time is
// zero, when Kissmetrics takes the time at which it receives the request), and
// the properties.
func (r Record) Values() url.Values {
	p := parameters{Person: r.Person, Name: r.Name, Properties: r.Properties}
	if r.timed() {
		p.Time, p.Trusted = r.Time, true
	}
	values, _ := query.Values(p) // fails on what is no struct, and where an Encoder does
	return values
}

// timed reports whether the record's request says when it happened.
func (r *Record) timed() bool { return r.Kind != KindAlias && !r.Time.IsZero() }

// query returns the record's query string: exactly what Values encodes to, with
// the API key where it is not empty. Names are in the order of their bytes, so
// that the same record always gives the same query.
func (r *Record) query(apiKey string) string {
	own := [...]struct{ name, value string }{{"_d", ""}, {"_k", apiKey}, {"_n", r.Name}, {"_p", r.Person}, {"_t", ""}}
	if r.timed() {
		var digits [20]byte
		own[0].value, own[4].value = "1", string(strconv.AppendInt(digits[:0], r.Time.Unix(), 10))
	}
	var room [768]byte // spares most records an allocation
	dst, next := room[:0], 0
	for i := range own {
		for ; next < len(r.Properties) && r.Properties[next].Name < own[i].name; next++ {
			dst = internal.AppendPair(dst, r.Properties[next].Name, r.Properties[next].Value)
		}
		if own[i].value != "" {
			dst = internal.AppendPair(dst, own[i].name, own[i].value)
		}
	}
	for ; next < len(r.Properties); next++ {
		dst = internal.AppendPair(dst, r.Properties[next].Name, r.Properties[next].Value)
	}
	return string(dst)
}

// String describes the record without its properties, and without identities.
func (r Record) String() string {
	s := r.Kind.String()
	if r.Kind == KindEvent {
		s += " " + quoted(r.Name)
	}
	return s + " with " + strconv.Itoa(len(r.Properties)) + " properties"
}

// LogValue implements [slog.LogValuer]: a record is logged as its String, for
// property values do not belong in logs.
func (r Record) LogValue() slog.Value { return slog.StringValue(r.String()) }

// packRecords writes valid records as one string, in which a record takes fewer
// bytes than in its query. What lies below a second is not kept.
func packRecords(records []Record) string {
	var w pack.Writer
	writeRecords(&w, records)
	w.Measured()
	writeRecords(&w, records)
	return w.String()
}

func writeRecords(w *pack.Writer, records []Record) {
	w.Number(uint64(len(records)))
	for i := range records {
		r := &records[i]
		w.Number(uint64(r.Kind)) //nolint:gosec // 1, 2 or 3
		if r.Time.IsZero() {
			w.Number(0)
		} else {
			w.Number(uint64(r.Time.Unix())) //nolint:gosec // valid, hence after 2009
		}
		w.Text(r.Person)
		w.Text(r.Name)
		pack.Properties(w, r.Properties)
	}
}

// unpackRecords is the reverse of packRecords. The texts of the records are parts
// of s. What there is room for in records and properties, both empty, goes there.
func unpackRecords(s string, records []Record, properties []Property) []Record {
	u := pack.Reader(s)
	n := int(u.Number()) //nolint:gosec // of a slice
	records = slices.Grow(records, n)[:n]
	for i := range records {
		r := &records[i]
		*r = Record{Kind: Kind(u.Number())} //nolint:gosec // 1, 2 or 3
		if seconds := u.Number(); seconds != 0 {
			r.Time = time.Unix(int64(seconds), 0).UTC() //nolint:gosec // at most that of the year 9999
		}
		r.Person, r.Name = u.Text(), u.Text()
		r.Properties, properties = pack.ReadProperties(&u, properties)
	}
	return records
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
	if isPlain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	dst, _ = jsontext.AppendQuote(dst, s) // fails on what is not UTF-8, which no valid record has
	return dst
}

// isPlain reports whether JSON writes a text as it is: it is of ASCII alone, without
// control characters, quotation marks and backslashes. Most are.
func isPlain(s string) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	var odd uint64 // the high bit of a byte is set where one is not plain, or lies behind one
	for ; len(s) >= 8; s = s[8:] {
		b := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		quote, slash := b^ones*'"', b^ones*'\\'
		odd |= b | (b - ones*' ') | (quote - ones) | (slash - ones)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return false
		}
	}
	return odd&high == 0
}
