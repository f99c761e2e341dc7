package reconcile

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// pack appends a record as it is kept in a temporary file.
func pack(dst []byte, r *kissmetrics.Record) []byte {
	dst = binary.AppendUvarint(dst, uint64(r.Kind)) //nolint:gosec // a small number
	dst = binary.AppendVarint(dst, r.Time.Unix())
	dst = appendText(appendText(dst, r.Person), r.Name)
	dst = binary.AppendUvarint(dst, uint64(len(r.Properties)))
	for i := range r.Properties {
		p := &r.Properties[i]
		literal := byte(0)
		if p.Literal {
			literal = 1
		}
		dst = appendText(appendText(append(dst, literal), p.Name), p.Value)
	}
	return dst
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// unpack is the reverse of pack. Nothing of data is kept.
func unpack(data []byte) kissmetrics.Record {
	u := unpacker{string(data)}
	r := kissmetrics.Record{Kind: kissmetrics.Kind(u.number())} //nolint:gosec // as it was written
	seconds, n := binary.Varint([]byte(u.rest[:min(len(u.rest), binary.MaxVarintLen64)]))
	u.rest = u.rest[n:]
	if r.Time = time.Unix(seconds, 0).UTC(); seconds == (time.Time{}).Unix() {
		r.Time = time.Time{}
	}
	r.Person, r.Name = u.text(), u.text()
	r.Properties = make([]kissmetrics.Property, u.number())
	for i := range r.Properties {
		r.Properties[i] = kissmetrics.Property{Literal: u.number() == 1, Name: u.text(), Value: u.text()}
	}
	return r
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

func (u *unpacker) text() string {
	n := u.number()
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

// A keyer makes the hashes by which records are compared. It keeps its buffers, and
// is for one goroutine.
type keyer struct {
	buffer []byte
	folded []folded
}

// A folded is a property as Kissmetrics compares it.
type folded struct {
	name string
	value
}

// exact returns what a record is compared by at first: by person and second in one
// group, with all it says in the key.
func (k *keyer) exact(r *kissmetrics.Record) (group uint64, key [2]uint64) {
	if r.Kind == kissmetrics.KindAlias {
		a, b := foldIdentity(r.Person), foldIdentity(r.Name)
		k.buffer = appendText(appendText(append(k.buffer[:0], 'a'), min(a, b)), max(a, b))
		sum := sha256.Sum256(k.buffer)
		return binary.BigEndian.Uint64(sum[16:]), halves(sum)
	}
	k.buffer = appendText(k.buffer[:0], foldIdentity(r.Person))
	k.buffer = binary.AppendVarint(k.buffer, r.Time.Unix())
	sum := sha256.Sum256(k.buffer)
	group = binary.BigEndian.Uint64(sum[:])
	k.said(r, 0)
	return group, halves(sha256.Sum256(k.buffer))
}

// loose returns what a record is compared by when its time, its person and the ends
// of its values may have changed: all else, and the person with whom aliases have
// joined it. The key is the identity itself, and the second.
func (k *keyer) loose(r *kissmetrics.Record, people *aliases) (group uint64, key [2]uint64) {
	person := identityHash(r.Person)
	k.buffer = binary.BigEndian.AppendUint64(k.buffer[:0], people.root(person))
	k.said(r, name.MaxValueChars)
	sum := sha256.Sum256(k.buffer)
	return binary.BigEndian.Uint64(sum[:]), [2]uint64{person, uint64(r.Time.Unix())} //nolint:gosec // turned back
}

// like returns a group of records of one person, kind, name and second.
func (k *keyer) like(r *kissmetrics.Record) (group uint64) {
	k.buffer = appendText(k.buffer[:0], foldIdentity(r.Person))
	k.buffer = binary.AppendVarint(append(k.buffer, byte(r.Kind)), r.Time.Unix()) //nolint:gosec // a small number
	k.buffer = appendText(k.buffer, foldName(r.Name))
	sum := sha256.Sum256(k.buffer)
	return binary.BigEndian.Uint64(sum[:])
}

// said appends to the buffer what a record says beside person and time, with values
// cut to some characters, unless that is zero.
func (k *keyer) said(r *kissmetrics.Record, chars int) {
	k.buffer = appendText(append(k.buffer, byte(r.Kind)), foldName(r.Name)) //nolint:gosec // a small number
	k.folded = appendFolded(k.folded[:0], r.Properties)
	for _, p := range k.folded {
		if chars > 0 {
			p.text = firstChars(p.text, chars)
		}
		k.buffer = appendText(appendText(k.buffer, p.name), p.text)
	}
	clear(k.folded)
}

// appendFolded appends properties as Kissmetrics compares them, in order.
func appendFolded(dst []folded, properties []kissmetrics.Property) []folded {
	start := len(dst)
	for i := range properties {
		p := &properties[i]
		dst = append(dst, folded{foldName(p.Name), value{p.Value, p.Literal}})
	}
	slices.SortFunc(dst[start:], func(a, b folded) int {
		if order := strings.Compare(a.name, b.name); order != 0 {
			return order
		}
		return strings.Compare(a.text, b.text) // of two names that are one here
	})
	return dst
}

func halves(sum [sha256.Size]byte) [2]uint64 {
	return [2]uint64{binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])}
}

// identityHash returns a hash of an identity, without regard to case.
func identityHash(identity string) uint64 {
	sum := sha256.Sum256([]byte(foldIdentity(identity)))
	return binary.BigEndian.Uint64(sum[:])
}

// firstChars returns at most n characters of a text.
func firstChars(s string, n int) string {
	if len(s) <= n || utf8.RuneCountInString(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
