package kissmetrics

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// pack writes valid records as one string, in which a record takes fewer bytes
// than in its query. What lies below a second is not kept.
//
// The form is: the number of records; for each its kind, its time in seconds
// (0 for none), its person, its name and the number of properties; for each of
// those its name and its value. Numbers are varints, texts have their length
// before them, and the length of a property's name has the Literal in its
// lowest bit.
func pack(records []Record) string {
	size := packedNumber(uint64(len(records)))
	for i := range records {
		r := &records[i]
		size += 1 + packedNumber(packedTime(r.Time)) + packedText(r.Person) + packedText(r.Name) + packedNumber(uint64(len(r.Properties)))
		for j := range r.Properties {
			p := &r.Properties[j]
			size += packedNumber(uint64(len(p.Name))<<1) + len(p.Name) + packedText(p.Value)
		}
	}
	w := packer{}
	w.b.Grow(size)
	w.number(uint64(len(records)))
	for i := range records {
		r := &records[i]
		w.number(uint64(r.Kind)) //nolint:gosec // 1, 2 or 3
		w.number(packedTime(r.Time))
		w.text(r.Person)
		w.text(r.Name)
		w.number(uint64(len(r.Properties)))
		for j := range r.Properties {
			p := &r.Properties[j]
			w.number(uint64(len(p.Name))<<1 | bit(p.Literal))
			w.b.WriteString(p.Name)
			w.text(p.Value)
		}
	}
	return w.b.String()
}

// A room is where unpack has the records of a small message, for as long as nobody
// needs those of another.
type room struct {
	records    [4]Record
	properties [48]Property
}

// unpack is the reverse of pack. The texts of the records are parts of s; all else
// of them is in the room, if there is one and it suffices.
func unpack(s string, in *room) []Record {
	u := unpacker{s}
	var records []Record
	var free []Property
	if n := u.number(); in != nil && n <= uint64(len(in.records)) {
		records, free = in.records[:n], in.properties[:]
	} else {
		records = make([]Record, n)
	}
	for i := range records {
		r := &records[i]
		*r = Record{Kind: Kind(u.number())} //nolint:gosec // 1, 2 or 3
		if seconds := u.number(); seconds != 0 {
			r.Time = time.Unix(int64(seconds), 0).UTC() //nolint:gosec // at most that of the year 9999
		}
		r.Person = u.text(u.number())
		r.Name = u.text(u.number())
		switch n := u.number(); {
		case n == 0:
		case n <= uint64(len(free)):
			r.Properties, free = free[:n:n], free[n:]
		default:
			r.Properties = make([]Property, n)
		}
		for j := range r.Properties {
			p := &r.Properties[j]
			n := u.number()
			p.Name, p.Literal = u.text(n>>1), n&1 == 1
			p.Value = u.text(u.number())
		}
	}
	return records
}

type packer struct {
	b       strings.Builder
	scratch [binary.MaxVarintLen64]byte
}

func (w *packer) number(n uint64) {
	if n < 0x80 {
		w.b.WriteByte(byte(n))
		return
	}
	w.b.Write(binary.AppendUvarint(w.scratch[:0], n))
}

func (w *packer) text(s string) {
	w.number(uint64(len(s)))
	w.b.WriteString(s)
}

type unpacker struct{ rest string }

func (u *unpacker) number() (n uint64) {
	for i := 0; ; i++ {
		c := u.rest[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			u.rest = u.rest[i+1:]
			return n
		}
	}
}

func (u *unpacker) text(n uint64) (s string) {
	s, u.rest = u.rest[:n], u.rest[n:]
	return s
}

// packedNumber returns the bytes that a number takes.
func packedNumber(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func packedText(s string) int { return packedNumber(uint64(len(s))) + len(s) }

// packedTime returns the seconds of the time of a valid record, hence after 2009.
func packedTime(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.Unix()) //nolint:gosec // see above
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
