// Package jsonwalk reads JSON from memory, as it is written: numbers keep their
// digits, and a value that is only to be passed on is not copied.
//
// Package encoding/json/jsontext checks the data as a whole, before anything of it is
// read. What is left to do here, to take apart what is known to be JSON, is simple and
// fast.
//
// The package is as tolerant as encoding/json has always been. Of two members with one
// name, the last counts. Bytes that are not valid UTF-8 are read as U+FFFD. [Mend]
// helps with what many programs write although it is not JSON. Errors tell the
// place and never quote the input.
package jsonwalk

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// MaxDepth is how many levels of nesting are read. A list or object that lies deeper
// is read as null. More than 10,000 levels are an error.
const MaxDepth = 1000

// An Error says where data stops being JSON.
type Error struct{ Offset int64 }

// Error returns a text that holds nothing of the input.
func (e *Error) Error() string { return fmt.Sprintf("is not JSON, as of byte %d", e.Offset) }

// ErrKind is the error of a value that is not of the kind that was asked for.
var ErrKind = errors.New("is JSON of another kind")

// A Reader reads one JSON value, or one part of it after another.
type Reader struct {
	data      []byte
	at        int // how much of data is read
	depth     int
	isChecked bool
	err       error // why data is not JSON
}

// NewReader returns a reader of data, which must not change while it is in use.
func NewReader(data []byte) *Reader { return &Reader{data: data} }

// Value returns the one value that data holds: a string, a bool, a json.Number, a
// map[string]any, a []any, or nil for null.
func Value(data []byte) (any, error) { return NewReader(data).Value() }

// Decode is [Value] of what [Reader.Raw] has returned, which is not checked again.
func Decode(raw []byte) any {
	v, _ := value(raw, 0)
	return v
}

// check reports whether data is JSON.
func (r *Reader) check() bool {
	if !r.isChecked {
		r.isChecked = true
		r.err = check(r.data)
		r.at += space(r.data)
	}
	return r.err == nil
}

// check returns an error unless data is one JSON value.
func check(data []byte) error {
	options := jsontext.AllowInvalidUTF8(true)
	if jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true), options) {
		return nil
	}
	d := jsontext.NewDecoder(bytes.NewReader(data), jsontext.AllowDuplicateNames(true), options)
	_, err := d.ReadValue()
	if err == nil {
		_, err = d.ReadToken()
	}
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return &Error{Offset: syntax.ByteOffset}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &Error{Offset: int64(len(data))}
	}
	return &Error{Offset: d.InputOffset()} // there is something behind the value
}

// Kind returns the first byte of the next value: one of { [ " t f n and, for any
// number, 0. It is zero where there is none.
func (r *Reader) Kind() byte {
	if !r.check() || r.at == len(r.data) {
		return 0
	}
	switch c := r.data[r.at]; c {
	case '{', '[', '"', 't', 'f', 'n':
		return c
	case '}', ']':
		return 0
	}
	return '0'
}

// Value reads the next value; see the function of that name.
func (r *Reader) Value() (any, error) {
	if !r.check() {
		return nil, r.err
	}
	v, length := value(r.data[r.at:], r.depth)
	r.pass(length)
	return v, nil
}

// Raw returns the next value as it is written. It is a part of data.
func (r *Reader) Raw() ([]byte, error) {
	if !r.check() {
		return nil, r.err
	}
	begin := r.at
	end := begin + valueEnd(r.data[begin:])
	r.pass(end - begin)
	return r.data[begin:end:end], nil
}

// Skip reads the next value for nothing.
func (r *Reader) Skip() error {
	_, err := r.Raw()
	return err
}

// Members reads an object. For every member it calls visit with the name, which is
// valid until visit reads on; visit must read the value, and no more. The first
// error ends the walk. Anything but an object is [ErrKind], and is not read.
func (r *Reader) Members(visit func(name []byte) error) error {
	_, err := r.Object(visit)
	return err
}

// Object is [Reader.Members], and returns the object as [Reader.Raw] does.
func (r *Reader) Object(visit func(name []byte) error) ([]byte, error) {
	if !r.check() {
		return nil, r.err
	}
	begin := r.at
	if err := r.begin('{'); err != nil {
		return nil, err
	}
	for r.data[r.at] != '}' {
		end := r.at + textEnd(r.data[r.at:])
		name := Unquote(r.data[r.at:end])
		r.pass(end - r.at) // and the colon
		if err := visit(name); err != nil {
			return nil, err
		}
	}
	end := r.at + 1
	r.end()
	return r.data[begin:end:end], nil
}

// Elements reads a list. For every element it calls visit, which must read it, and
// no more. The first error ends the walk. Anything but a list is [ErrKind], and is
// not read.
func (r *Reader) Elements(visit func() error) error {
	if err := r.begin('['); err != nil {
		return err
	}
	for r.data[r.at] != ']' {
		if err := visit(); err != nil {
			return err
		}
	}
	r.end()
	return nil
}

func (r *Reader) begin(kind byte) error {
	if !r.check() {
		return r.err
	}
	if r.at == len(r.data) || r.data[r.at] != kind {
		return ErrKind
	}
	r.depth++
	r.at++
	r.at += space(r.data[r.at:])
	return nil
}

func (r *Reader) end() {
	r.depth--
	r.pass(1)
}

// pass reads so many bytes, and what separates them from the next value or the end of
// the one that holds them.
func (r *Reader) pass(length int) {
	r.at += length
	r.at += separator(r.data[r.at:])
}

// Unquote returns what a JSON text stands for, and nil where value is no text. It
// is a part of value where that has no escapes.
func Unquote(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	if isPlain(value) {
		return value[1 : len(value)-1]
	}
	return unescape(value)
}

// isPlain reports whether a JSON text stands for what is between its quotes.
func isPlain(value []byte) bool { return bytes.IndexByte(value, '\\') < 0 && utf8.Valid(value) }

func unescape(value []byte) []byte {
	text, _ := jsontext.AppendUnquote(nil, value) // bytes that are not UTF-8 become U+FFFD, and are told
	return text
}
