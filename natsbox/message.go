package natsbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// formatHeader tells the version of the format of a message.
	formatHeader = "Kissmetrics-Format"
	// formatVersion is that of import lines, one a line.
	formatVersion = "1"
	// reasonHeader tells why a message was set aside.
	reasonHeader = "Kissmetrics-Reason"
	// mostProblems bounds what one hostile message can make an error say.
	mostProblems = 16
)

// encode returns a message of the stream that holds records, but for its subject.
func encode(records []kissmetrics.Record) (*nats.Msg, error) {
	var lines bytes.Buffer
	var wrong []error
	for _, r := range records {
		line, err := r.MarshalJSON()
		if err != nil {
			if wrong = append(wrong, err); len(wrong) == mostProblems {
				break
			}
		}
		lines.Write(line)
		lines.WriteByte('\n')
	}
	switch len(wrong) {
	case 0:
	case 1:
		return nil, wrong[0]
	default:
		return nil, errors.Join(wrong...)
	}
	return &nats.Msg{Data: lines.Bytes(), Header: nats.Header{
		formatHeader:          {formatVersion},
		jetstream.MsgIDHeader: {messageID(records)},
	}}, nil
}

// decode returns the records of a message of the stream. The error is a
// [*kissmetrics.ValidationError], one or several.
func decode(header nats.Header, data []byte) ([]kissmetrics.Record, error) {
	switch version := header.Get(formatHeader); version {
	case formatVersion:
	case "":
		return nil, unreadable("is none of this package")
	default:
		return nil, unreadable(fmt.Sprintf("has the format %.20q, which this version does not know", version))
	}
	var records []kissmetrics.Record
	for line := range bytes.Lines(data) {
		var r kissmetrics.Record
		if err := r.UnmarshalJSON(line); err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	if len(records) == 0 {
		return nil, unreadable("holds no records")
	}
	return records, nil
}

func unreadable(reason string) error {
	return &kissmetrics.ValidationError{Field: "message", Reason: reason}
}

// messageID returns a text that is the same for messages of which Kissmetrics
// would ignore the second.
func messageID(records []kissmetrics.Record) string {
	hash := sha256.New()
	var room [512]byte
	for i := range records {
		hash.Write(appendIdentity(room[:0], &records[i]))
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:24])
}

// appendIdentity appends what Kissmetrics knows a record by, in a form that no
// two different ones share.
func appendIdentity(dst []byte, r *kissmetrics.Record) []byte {
	text := func(s string) { dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...) }
	dst = append(dst, byte(r.Kind)) //nolint:gosec // 1, 2 or 3
	text(r.Person)
	if r.Kind == kissmetrics.KindAlias {
		text(r.Name)
	}
	dst = binary.AppendVarint(dst, r.Time.Unix())
	if r.Kind == kissmetrics.KindAlias {
		return dst
	}
	if r.Kind == kissmetrics.KindEvent {
		text(folded(r.Name))
		return dst
	}
	names := make([]string, len(r.Properties))
	for i := range r.Properties {
		names[i] = folded(r.Properties[i].Name)
	}
	slices.Sort(names)
	dst = binary.AppendUvarint(dst, uint64(len(names)))
	for _, name := range names {
		text(name)
	}
	return dst
}

// folded returns a name as Kissmetrics compares names: without regard to case,
// and with spaces for commas and colons. What it makes of letters beyond ASCII is
// not documented; they are left as they are.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ',' || r == ':':
			return ' '
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, name)
}
