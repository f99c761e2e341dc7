// Package pack writes numbers and texts one behind the other into a string, and
// reads them again. Numbers are varints, and a text has its length before it.
package pack

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// A Writer writes numbers and texts. All is written twice, the first time to
// measure, so that the string takes no more memory than it needs.
type Writer struct {
	b        strings.Builder
	scratch  [binary.MaxVarintLen64]byte
	size     int
	measured bool
}

// Measured ends the first time. What follows is the same again.
func (w *Writer) Measured() {
	w.measured = true
	w.b.Grow(w.size)
}

// String returns what was written since Measured.
func (w *Writer) String() string { return w.b.String() }

// Number writes a number.
func (w *Writer) Number(n uint64) {
	switch {
	case !w.measured:
		w.size += (bits.Len64(n|1) + 6) / 7
	case n < 0x80:
		w.b.WriteByte(byte(n))
	default:
		w.b.Write(binary.AppendUvarint(w.scratch[:0], n))
	}
}

// Text writes a text, with its length before it.
func (w *Writer) Text(s string) {
	w.Number(uint64(len(s)))
	w.Raw(s)
}

// Raw writes a text whose length the reader knows.
func (w *Writer) Raw(s string) {
	if !w.measured {
		w.size += len(s)
		return
	}
	w.b.WriteString(s)
}

// A Reader reads what a Writer has written, in the same order. It panics when it
// reads anything else.
type Reader string

// Number reads a number.
func (r *Reader) Number() (n uint64) {
	for i := 0; ; i++ {
		c := (*r)[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			*r = (*r)[i+1:]
			return n
		}
	}
}

// Text reads a text. It is a part of the string that is read.
func (r *Reader) Text() string { return r.Raw(r.Number()) }

// Raw reads a text of so many bytes.
func (r *Reader) Raw(n uint64) (s string) {
	s, *r = string((*r)[:n]), (*r)[n:]
	return s
}
