package reconcile

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
)

// A gunzip reads the members of a gzip file, one behind the other. Zeros behind one are
// nothing, as for the program gzip: some stores and tapes fill their blocks with them.
type gunzip struct {
	file   *bufio.Reader
	member *gzip.Reader
}

func newGunzip(file *bufio.Reader) (*gunzip, error) {
	member, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &gunzip{file, member}, nil
}

func (g *gunzip) Read(p []byte) (int, error) {
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
func (g *gunzip) next() error {
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
