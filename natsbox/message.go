package natsbox

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	// formatHeader gives the version of the format of a message.
	formatHeader = "Kissmetrics-Format"
	// formatVersion is the version of import lines, one per line.
	formatVersion = "1"
	// reasonHeader says why a message was parked.
	reasonHeader = "Kissmetrics-Reason"
	// mostProblems bounds how many problems of one message an error lists.
	mostProblems = 16
	// longestReason bounds the reason that is stored with a parked message.
	longestReason = 500
)

// encode returns a message of the stream that holds records, without its subject.
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
	key := kissmetrics.RepeatKey(records)
	return &nats.Msg{Data: lines.Bytes(), Header: nats.Header{
		formatHeader:          {formatVersion},
		jetstream.MsgIDHeader: {base64.RawURLEncoding.EncodeToString(key[:])},
	}}, nil
}

// decode returns the records of a message of the stream. The error is a
// [*kissmetrics.ValidationError], or several of them.
func decode(header nats.Header, data []byte) ([]kissmetrics.Record, error) {
	switch version := header.Get(formatHeader); version {
	case formatVersion:
	case "":
		return nil, unreadable("is not from this package")
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

// recordsOf returns how many records the messages of a subject hold. A subject
// that is not from this package is counted as one.
func recordsOf(subject string) int64 {
	_, number, _ := strings.Cut(subject, ".records.")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// shortened cuts a reason that another sender's error may have made too long for a
// header.
func shortened(text string) string {
	if len(text) <= longestReason {
		return text
	}
	return strings.ToValidUTF8(text[:longestReason], "") + "…"
}
