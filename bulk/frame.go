package bulk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// A frame is what was written at once: a header, and the lines of one or several
// messages. All integers are little-endian.
//
//	0  4 bytes  "KMB1"
//	4  uint32   length of the lines
//	8  uint32   number of the lines, hence of records
//	12 uint32   CRC-32C of all the rest
//	16 int64    when they were accepted, in Unix milliseconds
//	24          the lines
const (
	frameMagic  = "KMB1"
	headerBytes = 24
	// maxLines bounds the lines of a frame: a full batch, and one more message.
	maxLines = maxBatch + maxMessage
)

// sealFrame completes the header of a frame, for which room was left.
func sealFrame(frame []byte, records int, now time.Time) {
	copy(frame, frameMagic)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-headerBytes)) //nolint:gosec // at most maxLines
	binary.LittleEndian.PutUint32(frame[8:], uint32(records))                //nolint:gosec // fewer than bytes
	binary.LittleEndian.PutUint64(frame[16:], uint64(now.UnixMilli()))       //nolint:gosec // read back as it is written
	binary.LittleEndian.PutUint32(frame[12:], checksum(frame))
}

func checksum(frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(frame[:12], table), table, frame[16:])
}

// A content is what valid frames of a file hold.
type content struct {
	records, bytes int64     // of the lines
	first          time.Time // when the first was accepted
	end            int64     // where the last frame ends
	damaged        int64     // bytes before the end that are no frame
}

func (c *content) add(records int, lines int64, at time.Time) {
	if c.records == 0 {
		c.first = at
	}
	c.records += int64(records)
	c.bytes += lines
	c.end += headerBytes + lines
}

// frames reads the frames of a file, past what is damaged.
type frames struct {
	file   io.ReaderAt
	at     int64
	buffer []byte
}

// next returns the lines of the next frame, until it is called again. The error is
// io.EOF behind the last one.
func (f *frames) next() (lines []byte, records int, at time.Time, err error) {
	for {
		lines, records, at, err = f.read(f.at)
		if err == nil {
			f.at += headerBytes + int64(len(lines))
		}
		if !errors.Is(err, errNoFrame) {
			return lines, records, at, err
		}
		if f.at, err = f.search(f.at + 1); err != nil {
			return nil, 0, time.Time{}, err
		}
	}
}

var errNoFrame = errors.New("what is stored is damaged")

// read reads the frame at a place. The error is errNoFrame if it is none, and io.EOF at
// the end of the file.
func (f *frames) read(place int64) (lines []byte, records int, at time.Time, err error) {
	var header [headerBytes]byte
	n, err := f.file.ReadAt(header[:], place)
	length := int(min(binary.LittleEndian.Uint32(header[4:]), maxLines+1)) // never negative, also in 32 bits
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, 0, at, err
	case n == 0:
		return nil, 0, at, io.EOF
	case n < headerBytes || string(header[:4]) != frameMagic || length > maxLines:
		return nil, 0, at, errNoFrame
	}
	if cap(f.buffer) < headerBytes+length {
		f.buffer = make([]byte, headerBytes+length)
	}
	frame := f.buffer[:headerBytes+length]
	n, err = f.file.ReadAt(frame, place)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return nil, 0, at, err
	case n < len(frame) || binary.LittleEndian.Uint32(frame[12:]) != checksum(frame):
		return nil, 0, at, errNoFrame
	}
	milliseconds := int64(binary.LittleEndian.Uint64(frame[16:])) //nolint:gosec // as it was written
	return frame[headerBytes:], int(binary.LittleEndian.Uint32(frame[8:])), time.UnixMilli(milliseconds).UTC(), nil
}

// search returns where the next thing is that looks like a frame.
func (f *frames) search(from int64) (int64, error) {
	window := make([]byte, 64<<10)
	for {
		n, err := f.file.ReadAt(window, from)
		if i := bytes.Index(window[:n], []byte(frameMagic)); i >= 0 {
			return from + int64(i), nil
		}
		if err != nil {
			return 0, err
		}
		from += int64(n - len(frameMagic) + 1)
	}
}

// scan reads all of a file.
func scan(file io.ReaderAt) (c content, err error) {
	f := frames{file: file}
	for {
		before := f.at
		lines, records, at, err := f.next()
		if errors.Is(err, io.EOF) {
			return c, nil
		} else if err != nil {
			return c, err
		}
		c.add(records, int64(len(lines)), at)
		c.damaged += f.at - before - headerBytes - int64(len(lines))
		c.end = f.at
	}
}

// A lineReader reads the lines of all frames, which must be as many bytes as left.
type lineReader struct {
	frames frames
	lines  []byte
	left   int64
}

func (r *lineReader) Read(p []byte) (int, error) {
	for len(r.lines) == 0 {
		lines, _, _, err := r.frames.next()
		if errors.Is(err, io.EOF) && r.left > 0 {
			return 0, errNoFrame
		} else if err != nil {
			return 0, err
		}
		r.lines = lines
	}
	n := copy(p, r.lines)
	r.lines = r.lines[n:]
	r.left -= int64(n)
	return n, nil
}
