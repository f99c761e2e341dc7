// Package gunzip opens files of lines that may be gzipped.
package gunzip

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
)

// Open returns what is in a file, and whether it is gzipped, which shows in its first
// bytes. If it is not, that is the file itself. The error says that it is of a format in
// which no lines can be read, or is that of the head of the first member.
func Open(file *bufio.Reader) (r *bufio.Reader, zipped bool, err error) {
	if !isZipped(file) {
		return file, false, formatError(file)
	}
	member, err := gzip.NewReader(file)
	if err != nil {
		return nil, false, err
	}
	member.Multistream(false)
	r = bufio.NewReaderSize(&reader{file, member}, 64<<10)
	if isZipped(r) { // as happens where both a program and a store do it
		return nil, false, errors.New("it is gzipped twice; unzip it once")
	}
	return r, true, formatError(r)
}

func isZipped(file *bufio.Reader) bool {
	magic, _ := file.Peek(2)
	return string(magic) == "\x1f\x8b"
}

// formatError returns an error if a file begins as one of a format that people give in
// place of lines. None of them is how a line begins.
func formatError(file *bufio.Reader) error {
	magic, _ := file.Peek(6)
	for _, format := range []struct{ magic, name string }{
		{"PK\x03\x04", "zip"}, {"BZh", "bzip2"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"},
		{"\x04\x22\x4d\x18", "lz4"}, {"7z\xbc\xaf\x27\x1c", "7z"}, {"\x78\x01", "zlib"}, {"\x78\x5e", "zlib"},
		{"\x78\x9c", "zlib"}, {"\x78\xda", "zlib"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
		{"PAR1", "Parquet"}, {"Obj\x01", "Avro"},
	} {
		if bytes.HasPrefix(magic, []byte(format.magic)) {
			return errors.New("it is in " + format.name + "; make it lines in UTF-8, which may be gzipped")
		}
	}
	return nil
}

// A reader reads the members of a gzip file, one behind the other. Zeros behind one are
// nothing, as for the program gzip: some stores and tapes fill their blocks with them.
type reader struct {
	file   *bufio.Reader
	member *gzip.Reader
}

// Read reads on. The error is [io.ErrUnexpectedEOF] if the file ends within a member.
func (g *reader) Read(p []byte) (int, error) {
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
func (g *reader) next() error {
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
