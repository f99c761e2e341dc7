// Package jsonwalk reads JSON from memory, in one pass and as it is written:
// numbers keep their digits, and a value that is only to be passed on is not
// copied. It is a thin layer over encoding/json/jsontext.
//
// It is as tolerant as encoding/json has always been. Of two members with one
// name, the last counts. Bytes that are not valid UTF-8 are read as U+FFFD. [Mend]
// helps with what many programs write although it is not JSON. Errors tell the
// place and never quote the input.
package jsonwalk

import (
	"bytes"
	"encoding/json"
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

// A Reader reads one JSON value, or the values of a sequence, one after another.
type Reader struct {
	data   []byte
	buffer bytes.Buffer
	json   jsontext.Decoder
	depth  int
}

// NewReader returns a reader of data, which must not change while it is in use.
func NewReader(data []byte) *Reader {
	r := &Reader{data: data, buffer: *bytes.NewBuffer(data)}
	r.json.Reset(&r.buffer, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return r
}

// Value returns the one value that data holds: a string, a bool, a json.Number, a
// map[string]any, a []any, or nil for null.
func Value(data []byte) (any, error) {
	r := NewReader(data)
	v, err := r.Value()
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Kind returns the first byte of the next value: one of { [ " t f n and, for any
// number, 0. It is zero where there is none.
func (r *Reader) Kind() byte { return byte(r.json.PeekKind()) }

// End returns an error unless all of data was read.
func (r *Reader) End() error {
	if _, err := r.json.ReadToken(); !errors.Is(err, io.EOF) {
		return r.fail(err)
	}
	return nil
}

// Value reads the next value; see [Value].
func (r *Reader) Value() (any, error) {
	kind := r.json.PeekKind()
	if (kind == '{' || kind == '[') && r.depth == MaxDepth {
		return nil, r.Skip()
	}
	token, err := r.json.ReadToken()
	if err != nil {
		return nil, r.fail(err)
	}
	switch kind {
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case 't':
		return true, nil
	case 'f':
		return false, nil
	case '{':
		return r.object()
	case '[':
		return r.list()
	}
	return nil, nil
}

// object reads what follows the beginning of an object.
func (r *Reader) object() (any, error) {
	r.depth++
	m := make(map[string]any)
	for r.json.PeekKind() == '"' {
		token, err := r.json.ReadToken()
		if err != nil {
			return nil, r.fail(err)
		}
		name := token.String()
		if m[name], err = r.Value(); err != nil {
			return nil, err
		}
	}
	return m, r.end()
}

// list reads what follows the beginning of a list.
func (r *Reader) list() (any, error) {
	r.depth++
	list := []any{}
	for {
		if kind := r.json.PeekKind(); kind == ']' || kind == jsontext.KindInvalid {
			return list, r.end()
		}
		v, err := r.Value()
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
}

// Raw returns the next value as it is written. It is a part of data.
func (r *Reader) Raw() ([]byte, error) {
	value, err := r.json.ReadValue()
	if err != nil {
		return nil, r.fail(err)
	}
	end := int(r.json.InputOffset())
	return r.data[end-len(value) : end : end], nil
}

// Skip reads the next value for nothing.
func (r *Reader) Skip() error {
	if err := r.json.SkipValue(); err != nil {
		return r.fail(err)
	}
	return nil
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
	if err := r.begin('{'); err != nil {
		return nil, err
	}
	begin := r.json.InputOffset() - 1
	for r.json.PeekKind() == '"' {
		name, err := r.name()
		if err == nil {
			err = visit(name)
		}
		if err != nil {
			return nil, err
		}
	}
	err := r.end()
	end := r.json.InputOffset()
	return r.data[begin:end:end], err
}

// Elements reads a list. For every element it calls visit, which must read it, and
// no more. The first error ends the walk. Anything but a list is [ErrKind], and is
// not read.
func (r *Reader) Elements(visit func() error) error {
	if err := r.begin('['); err != nil {
		return err
	}
	for {
		if kind := r.json.PeekKind(); kind == ']' || kind == jsontext.KindInvalid {
			return r.end()
		}
		if err := visit(); err != nil {
			return err
		}
	}
}

func (r *Reader) begin(kind jsontext.Kind) error {
	if next := r.json.PeekKind(); next != kind && next != jsontext.KindInvalid {
		return ErrKind
	}
	if _, err := r.json.ReadToken(); err != nil {
		return r.fail(err)
	}
	r.depth++
	return nil
}

func (r *Reader) end() error {
	if _, err := r.json.ReadToken(); err != nil {
		return r.fail(err)
	}
	r.depth--
	return nil
}

// name reads the name of a member.
func (r *Reader) name() ([]byte, error) {
	quoted, err := r.json.ReadValue()
	if err != nil {
		return nil, r.fail(err)
	}
	return Unquote(quoted), nil
}

// Unquote returns what a JSON text stands for, and nil where value is no text. It
// is a part of value where that has no escapes.
func Unquote(value []byte) []byte {
	if len(value) < 2 || value[0] != '"' {
		return nil
	}
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return inner
	}
	text, _ := jsontext.AppendUnquote(nil, value) // bytes that are not UTF-8 become U+FFFD, and are told
	return text
}

// fail returns the error for one of jsontext, which may quote the input.
func (r *Reader) fail(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return &Error{Offset: syntax.ByteOffset}
	}
	return &Error{Offset: r.json.InputOffset()}
}
