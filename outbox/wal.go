package outbox

import (
	"encoding/binary"
	"errors"
	"os"
)

// The write-ahead log, as https://www.sqlite.org/fileformat2.html#the_write_ahead_log
// describes it.
const (
	walHeaderBytes   = 32
	frameHeaderBytes = 24
	walMagic         = 0x377f0682 // the lowest bit says that checksums are big-endian
	walVersion       = 3007000
	pageBytes        = 4096 // of the files that an outbox makes
)

// A log is a write-ahead log in memory.
type log struct {
	data  []byte
	page  int
	order binary.ByteOrder
}

// A frame is the part of a log that holds one page.
type frame []byte

func (l *log) frames() int { return max(0, (len(l.data)-walHeaderBytes)/(frameHeaderBytes+l.page)) }

func (l *log) frame(i int) frame {
	size := frameHeaderBytes + l.page
	return l.data[walHeaderBytes+i*size:][:size]
}

func (f frame) number() uint32   { return binary.BigEndian.Uint32(f) }
func (f frame) commit() uint32   { return binary.BigEndian.Uint32(f[4:]) } // the pages of the database
func (f frame) salts() uint64    { return binary.BigEndian.Uint64(f[8:]) }
func (f frame) checksum() uint64 { return binary.BigEndian.Uint64(f[16:]) }

// checksum goes on with a checksum.
func (l *log) checksum(from uint64, data []byte) uint64 {
	a, b := uint32(from>>32), uint32(from) //nolint:gosec // the two halves
	for ; len(data) >= 8; data = data[8:] {
		a += l.order.Uint32(data) + b
		b += l.order.Uint32(data[4:]) + a
	}
	return uint64(a)<<32 | uint64(b)
}

// of returns the checksum of a frame.
func (l *log) of(f frame, from uint64) uint64 {
	return l.checksum(l.checksum(from, f[:8]), f[frameHeaderBytes:])
}

// readLog reads a log. Where its header is damaged, what it should say is taken
// from the frames.
func readLog(path string) (l *log, headerOK bool, err error) {
	data, err := os.ReadFile(path) //nolint:gosec // the caller's file
	if errors.Is(err, os.ErrNotExist) {
		return &log{page: pageBytes, order: binary.LittleEndian}, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	l = &log{data: data, page: pageBytes, order: binary.LittleEndian}
	if len(data) < walHeaderBytes {
		return l, true, nil
	}
	magic := binary.BigEndian.Uint32(data)
	if magic == walMagic|1 {
		l.order = binary.BigEndian
	}
	headerOK = magic|1 == walMagic|1 && binary.BigEndian.Uint32(data[4:]) == walVersion &&
		binary.BigEndian.Uint32(data[8:]) == pageBytes &&
		l.checksum(0, data[:24]) == binary.BigEndian.Uint64(data[24:])
	return l, headerOK, nil
}

// mendLog mends a log in which a frame is damaged. SQLite takes it for the log's
// end, and would not see what was committed after it: therefore the checksums are
// made to fit what is there. What is wrong in the frame's page remains, and is
// found as any other damage is. The damaged log is kept at another path.
//
// lost says that a page of it cannot be told any more.
func mendLog(path, keep string) (mended, lost bool, err error) {
	l, headerOK, err := readLog(path)
	if err != nil || l.frames() == 0 {
		return false, false, err
	}
	salts := binary.BigEndian.Uint64(l.data[16:])
	if !headerOK {
		salts = l.commonSalts()
	}
	// What SQLite sees ends with the last commit before a frame that does not fit.
	sum, good := binary.BigEndian.Uint64(l.data[24:]), 0
	for ; headerOK && good < l.frames(); good++ {
		f := l.frame(good)
		if sum = l.of(f, sum); f.salts() != salts || f.checksum() != sum {
			break
		}
	}
	last, pages := -1, uint32(0)
	for i := range l.frames() {
		if f := l.frame(i); f.salts() == salts && f.commit() != 0 {
			last = i
		}
	}
	if headerOK && last < good {
		return false, false, nil
	}
	if err := os.WriteFile(keep, l.data, 0o600); err != nil {
		return false, false, err
	}

	copy(l.data, binary.BigEndian.AppendUint32(nil, walMagic))
	binary.BigEndian.PutUint32(l.data[4:], walVersion)
	binary.BigEndian.PutUint32(l.data[8:], pageBytes)
	binary.BigEndian.PutUint64(l.data[16:], salts)
	l.order = binary.LittleEndian
	// A number of a page that is larger than what other frames know of is wrong.
	was := binary.BigEndian.Uint64(l.data[24:])
	for i := range last + 1 {
		f := l.frame(i)
		if l.of(f, was) == f.checksum() && f.salts() == salts {
			pages = max(pages, f.commit(), f.number())
		}
		was = f.checksum()
	}
	sum = l.checksum(0, l.data[:24])
	binary.BigEndian.PutUint64(l.data[24:], sum)
	for i := range last + 1 {
		f := l.frame(i)
		if f.number() == 0 || f.number() > pages || f.commit() > pages {
			lost = true
			substitute := l.frame(max(i-1, 0))
			if i == 0 {
				substitute = l.frame(min(1, last))
			}
			copy(f, substitute[:4])
			copy(f[frameHeaderBytes:], substitute[frameHeaderBytes:])
			commit := uint32(0)
			if i == last {
				commit = pages
			}
			binary.BigEndian.PutUint32(f[4:], commit)
		}
		binary.BigEndian.PutUint64(f[8:], salts)
		sum = l.of(f, sum)
		binary.BigEndian.PutUint64(f[16:], sum)
	}
	end := walHeaderBytes + (last+1)*(frameHeaderBytes+l.page)
	return true, lost, writeSynced(path, l.data[:end])
}

// commonSalts returns the salts that two frames have in common, which those of
// another log have not.
func (l *log) commonSalts() uint64 {
	seen := make(map[uint64]bool)
	for i := range l.frames() {
		salts := l.frame(i).salts()
		if seen[salts] {
			return salts
		}
		seen[salts] = true
	}
	return l.frame(0).salts()
}

// writeSynced replaces a file's content at once, and returns when the disk has it.
func writeSynced(path string, data []byte) error {
	next := path + "-next"
	if err := errors.Join(os.WriteFile(next, data, 0o600), syncFile(next)); err != nil {
		return err
	}
	return os.Rename(next, path)
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the caller's file
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
