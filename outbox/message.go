package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// A message is stored in one piece, so that all of it is there or nothing, and
// so that it can be found again in a damaged file, by its first bytes:
//
//	"KMo1" or, where it is parked, "KMp1": the version of the form is the last byte
//	when it was accepted, in Unix seconds (8 bytes, as all numbers big-endian)
//	the number of records                 (4 bytes)
//	the number of bytes of the lines      (4 bytes)
//	the records' import lines, each ended by a line feed
//	the CRC-32C of all that               (4 bytes)
//
// The first two bytes, the fourth, and the checksum at the end are those of every
// version.
const (
	headerBytes = 4 + 8 + 4 + 4
	frameBytes  = headerBytes + 4
	markWaiting = "KMo1"
	markParked  = "KMp1"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errUnreadable = errors.New("its checksum is wrong")
	errUnknown    = errors.New("its form is that of another version")
	errMiscounted = errors.New("it holds other records than it says")
)

// encode returns a message as it is stored. A record without a time, which only
// an alias can be, gets that of its acceptance.
func encode(records []kissmetrics.Record, now time.Time) ([]byte, error) {
	m := make([]byte, headerBytes, headerBytes+256*len(records))
	m, err := appendLines(m, records, now)
	if err != nil {
		return nil, err
	}
	copy(m, markWaiting)
	binary.BigEndian.PutUint64(m[4:], uint64(now.Unix()))          //nolint:gosec // and back
	binary.BigEndian.PutUint32(m[12:], uint32(len(records)))       //nolint:gosec // of one message
	binary.BigEndian.PutUint32(m[16:], uint32(len(m)-headerBytes)) //nolint:gosec // of one message
	return seal(m), nil
}

// appendLines appends the lines of records.
func appendLines(m []byte, records []kissmetrics.Record, now time.Time) ([]byte, error) {
	var wrong []error
	for _, r := range records {
		if r.Time.IsZero() && r.Kind == kissmetrics.KindAlias {
			r.Time = now
		}
		line, err := r.MarshalJSON()
		if err != nil {
			wrong = append(wrong, err)
		}
		m = append(append(m, line...), '\n')
	}
	return m, errors.Join(wrong...)
}

// seal appends the checksum.
func seal(m []byte) []byte {
	return binary.BigEndian.AppendUint32(m, crc32.Checksum(m, castagnoli))
}

// sumOf returns the last bytes of a stored message, its checksum.
func sumOf(m []byte) uint32 {
	if len(m) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(m[len(m)-4:])
}

// marked returns the stored message with another mark.
func marked(m []byte, mark string) []byte {
	m = bytes.Clone(m[:len(m)-4])
	copy(m, mark)
	return seal(m)
}

// isLater reports whether a message is of another version, and not one of this
// version in which the digit was damaged.
func isLater(m []byte) bool {
	return len(m) >= 8 && bytes.HasPrefix(m, []byte("KM")) && m[3] != '1' &&
		crc32.Checksum(m[:len(m)-4], castagnoli) == sumOf(m)
}

// A stored is what the header of a stored message says.
type stored struct {
	parked     bool
	acceptedAt time.Time
	records    int
	lines      []byte
}

// parse checks a stored message and takes it apart. What is behind it in m is
// ignored if more is true.
func parse(m []byte, more bool) (s stored, size int, ok bool) {
	if len(m) < frameBytes || string(m[:4]) != markWaiting && string(m[:4]) != markParked {
		return s, 0, false
	}
	length := int64(binary.BigEndian.Uint32(m[16:]))
	if rest := int64(len(m) - frameBytes); length > rest || length < rest && !more {
		return s, 0, false
	}
	end := headerBytes + int(length)
	if crc32.Checksum(m[:end], castagnoli) != binary.BigEndian.Uint32(m[end:]) {
		return s, 0, false
	}
	return stored{
		parked:     string(m[:4]) == markParked,
		acceptedAt: acceptedAt(m),
		records:    int(binary.BigEndian.Uint32(m[12:])),
		lines:      m[headerBytes:end],
	}, end + 4, true
}

func acceptedAt(header []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(header[4:])), 0).UTC() //nolint:gosec // see encode
}

// decode returns the records of a stored message.
func decode(m []byte) ([]kissmetrics.Record, stored, error) {
	s, err := checked(m)
	if err != nil {
		return nil, s, err
	}
	const leastLine = 16 // bytes: what is stored may say anything
	records, err := readLines(make([]kissmetrics.Record, 0, min(s.records, len(s.lines)/leastLine)), s.lines)
	return records, s, err
}

// checked takes a stored message apart, if it is as it was stored.
func checked(m []byte) (stored, error) {
	s, _, ok := parse(m, false)
	switch {
	case !ok && isLater(m):
		return s, errUnknown
	case !ok:
		return s, errUnreadable
	case s.records != bytes.Count(s.lines, newline) || !bytes.HasSuffix(s.lines, newline): // of none, too
		return s, errMiscounted
	}
	return s, nil
}

var newline = []byte{'\n'}

// readLines appends the records that lines stand for.
func readLines(records []kissmetrics.Record, lines []byte) ([]kissmetrics.Record, error) {
	for line := range bytes.Lines(lines) {
		var r kissmetrics.Record
		if err := r.UnmarshalJSON(line); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}
