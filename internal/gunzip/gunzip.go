// Package gunzip reads gzip files as the program gzip does.
package gunzip

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
)

// A Reader reads the members of a gzip file, one behind the other. Zeros behind one are
// nothing, as for the program gzip: some stores and tapes fill their blocks with them.
type Reader struct {
	file   *bufio.Reader
	member *gzip.Reader
}

// Is reports whether a file is gzipped, which shows in its first bytes.
func Is(file *bufio.Reader) bool {
	magic, _ := file.Peek(2)
	return string(magic) == "\x1f\x8b"
}

// NewReader returns a Reader of a file that is gzipped. The error is that of the head of
// its first member.
func NewReader(file *bufio.Reader) (*Reader, error) {
	member, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &Reader{file, member}, nil
}

// Read implements [io.Reader]. The error is [io.ErrUnexpectedEOF] if the file ends
// within a member.
func (g *Reader) Read(p []byte) (int, error) {
	for {
		n, err := g.member.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, ignoreEOF(err)
		}
		if err := g.next(); err != nil {
			return 0, err
		}
	}
}

// ignoreEOF leaves the end of a member to the next Read.
func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// next goes to the next member. The error is io.EOF if there is none.
func (g *Reader) next() error {
	for {
		c, err := g.file.ReadByte()
		if err != nil {
			return err
		}
		if c == 0 {
			continue
		}
		if err := g.file.UnreadByte(); err != nil {
			return err
		}
		if err := g.member.Reset(g.file); err != nil {
			return err
		}
		g.member.Multistream(false)
		return nil
	}
}
