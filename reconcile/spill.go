package reconcile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
)

// A spill divides entries into parts by the bits of their group, in one temporary
// file. A part is a list of blocks of that file, and an entry never spans two.
type spill struct {
	file  *os.File
	end   int64
	parts []part
	block int
	shift int // of the bits of a group that say its part
}

type part struct {
	buffer []byte
	blocks []block
	bytes  int64
	count  int64
}

type block struct {
	at int64
	n  int
}

// An entry is a record with what it is compared by: entries of one group are
// compared with each other, and those of one key are equal.
type entry struct {
	group uint64
	key   [2]uint64
	data  []byte // the packed record
}

const entryHead = 24 // bytes before the length of the data

// newSpill makes a spill whose parts are told apart by the bits of a group behind
// the first used ones.
func newSpill(c *config, used int) (*spill, error) {
	parts, size := c.fanOut()
	width := bits.Len(uint(parts)) - 1 //nolint:gosec // positive
	if used+width > 64 {
		return nil, ErrGroupTooLarge
	}
	file, err := os.CreateTemp(c.dir, "reconcile-*")
	if err != nil {
		return nil, fmt.Errorf("reconcile: %w", err)
	}
	// Where an open file can be removed, nothing is left behind even by a crash.
	_ = os.Remove(file.Name())
	return &spill{file: file, parts: make([]part, parts), block: size, shift: 64 - used - width}, nil
}

// used returns how many bits of a group tell the part of an entry.
func (s *spill) used() int { return 64 - s.shift }

// close removes the temporary file.
func (s *spill) close() {
	_ = s.file.Close()
	_ = os.Remove(s.file.Name())
}

// add adds an entry to its part.
func (s *spill) add(e entry) error {
	p := &s.parts[e.group>>s.shift&uint64(len(s.parts)-1)] //nolint:gosec // positive
	if size := entryHead + binary.MaxVarintLen64 + len(e.data); len(p.buffer)+size > s.block && len(p.buffer) > 0 {
		if err := s.flush(p); err != nil {
			return err
		}
	}
	if p.buffer == nil {
		p.buffer = make([]byte, 0, s.block)
	}
	before := len(p.buffer)
	p.buffer = binary.BigEndian.AppendUint64(p.buffer, e.group)
	p.buffer = binary.BigEndian.AppendUint64(p.buffer, e.key[0])
	p.buffer = binary.BigEndian.AppendUint64(p.buffer, e.key[1])
	p.buffer = binary.AppendUvarint(p.buffer, uint64(len(e.data)))
	p.buffer = append(p.buffer, e.data...)
	p.bytes += int64(len(p.buffer) - before)
	p.count++
	return nil
}

// flush writes what a part has gathered as a block.
func (s *spill) flush(p *part) error {
	n, err := s.file.WriteAt(p.buffer, s.end)
	if err != nil {
		return s.failed(err)
	}
	p.blocks = append(p.blocks, block{s.end, n})
	s.end += int64(n)
	if p.buffer = p.buffer[:0]; cap(p.buffer) > 2*s.block {
		p.buffer = nil
	}
	return nil
}

// finish writes what all parts have gathered, and gives up their buffers.
func (s *spill) finish() error {
	for i := range s.parts {
		p := &s.parts[i]
		if len(p.buffer) > 0 {
			if err := s.flush(p); err != nil {
				return err
			}
		}
		p.buffer = nil
	}
	return nil
}

// load appends the bytes of a part to dst.
func (s *spill) load(dst []byte, index int) ([]byte, error) {
	for _, b := range s.parts[index].blocks {
		start := len(dst)
		dst = dst[:start+b.n]
		if _, err := s.file.ReadAt(dst[start:], b.at); err != nil {
			return nil, s.failed(err)
		}
	}
	return dst, nil
}

// divide divides a part further.
func (s *spill) divide(c *config, index int) (*spill, error) {
	finer, err := newSpill(c, s.used())
	if err != nil {
		return nil, err
	}
	if err := s.each(index, finer.add); err != nil {
		finer.close()
		return nil, err
	}
	if err := finer.finish(); err != nil {
		finer.close()
		return nil, err
	}
	return finer, nil
}

// each calls f for each entry of a part. Its data is good for that call only.
func (s *spill) each(index int, f func(e entry) error) error {
	var data []byte
	for _, b := range s.parts[index].blocks {
		data = slices.Grow(data[:0], b.n)[:b.n]
		if _, err := s.file.ReadAt(data, b.at); err != nil {
			return s.failed(err)
		}
		for rest := data; len(rest) > 0; {
			var e entry
			e, rest = readEntry(rest)
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// readEntry reads the entry that data begins with.
func readEntry(data []byte) (e entry, rest []byte) {
	e.group = binary.BigEndian.Uint64(data)
	e.key[0], e.key[1] = binary.BigEndian.Uint64(data[8:]), binary.BigEndian.Uint64(data[16:])
	length, n := binary.Uvarint(data[entryHead:])
	start := entryHead + n
	end := start + int(length) //nolint:gosec // as long as it was written
	e.data = data[start:end]
	return e, data[end:]
}

// failed returns an error of the temporary file, which names its folder: the file has no
// name any more.
func (s *spill) failed(err error) error {
	return fmt.Errorf("reconcile: a temporary file in %s: %w", filepath.Dir(s.file.Name()), withoutPath(err))
}

// withoutPath returns the reason of an error of a file.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}
