package collect

import (
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A sentAtKind says when an SDK writes the sentAt of a request.
type sentAtKind int

const (
	// sentAtUnknown is that of an SDK that is not listed.
	sentAtUnknown sentAtKind = iota
	// sentAtTry is written anew at every try, or tried again for less than a minute:
	// what lies between it and the receipt is the difference of the clocks.
	sentAtTry
	// sentAtClosed is written when the batch was closed, and kept while that waits on
	// a disk or is tried again for hours: it proves nothing of a clock.
	sentAtClosed
)

// libraries are the names that SDKs give themselves in context.library, in lower
// case, and when they write sentAt; SDKS.md has the versions that were seen.
var libraries = map[string]sentAtKind{
	"analytics.js":                    sentAtTry, // Segment's, Customer.io's and Hightouch's for browsers
	"rudderlabs javascript sdk":       sentAtTry,
	"analytics-node":                  sentAtTry,
	"@segment/analytics-node":         sentAtTry,
	"analytics-python":                sentAtTry,
	"rudder-analytics-python":         sentAtTry,
	"analytics-go":                    sentAtTry,
	"analytics-php":                   sentAtTry,
	"analytics-ruby":                  sentAtTry, // Segment's; RudderStack's writes it in each message, when that is enqueued
	"analytics.net":                   sentAtTry,
	"rudder-android-library":          sentAtTry,
	"rudder-ios-library":              sentAtTry,
	"analytics-java":                  sentAtClosed,
	"analytics-kotlin":                sentAtClosed,
	"analytics-swift":                 sentAtClosed,
	"analytics-csharp":                sentAtClosed,
	"analytics-ios":                   sentAtClosed,
	"analytics-android":               sentAtClosed,
	"rudder-analytics-java":           sentAtClosed,
	"rudder-analytics-ruby":           sentAtClosed,
	"rudderanalytics-ruby":            sentAtClosed,
	"rudder-sdk-ruby-sync":            sentAtClosed,
	"java":                            sentAtClosed,
	"@segment/analytics-react-native": sentAtTry,
}

// library returns when the SDK of a message writes sentAt.
func library(context []byte) sentAtKind {
	var name any
	r := jsonwalk.NewReader(context)
	_ = r.Members(func(member []byte) (err error) { // was read before; at worst it is no object
		if string(member) != "library" {
			return r.Skip()
		}
		var v any
		v, err = r.Value()
		if object, ok := v.(map[string]any); ok {
			name = object["name"]
		}
		return err
	})
	text, _ := name.(string)
	return libraries[strings.ToLower(text)]
}

const (
	day     = 24 * time.Hour
	genesis = 2009 // the year in which Kissmetrics began
	// slack is by how much a clock may seem to be further ahead than it is, so that
	// an error of whole steps is still found to be one.
	slack = time.Minute
)

// corrected returns when a message happened by the clock of this machine, where that of
// its device is wrong.
func (h *Handler) corrected(b *batch, m *head) (at time.Time, ok bool) {
	by := h.shift(b, m)
	if by == 0 {
		return at, false
	}
	// The difference may be one of centuries, which no Duration can hold.
	at = time.Unix(m.at.Unix()+by, int64(m.at.Nanosecond())).UTC()
	if at.After(b.received) {
		at = b.received
	}
	return at, at.Year() >= genesis // or else the two times are of different clocks
}

// shift returns by how many seconds the time of a message is to be moved, which is a
// whole number of steps.
func (h *Handler) shift(b *batch, m *head) int64 {
	sent := m.sentAt
	if sent.IsZero() {
		sent = b.sentAt
	}
	if sent.IsZero() || m.at.IsZero() || m.id == "" || m.original && m.timestamp || h.config.clockStep == 0 {
		return 0 // a timestamp beside an originalTimestamp is one that the caller has set
	}
	by := steps(b.received.UnixMilli()-sent.UnixMilli(), h.config.clockStep)
	if by > 0 && sent.Year() >= genesis && !h.provesClock(b, m, by) {
		return 0
	}
	return by
}

// steps returns a difference of clocks, which is given in milliseconds, in whole steps,
// as seconds. It is rounded down, so that what is moved by it does not come to lie
// in the future; a clock that is ahead by less than half a step is believed.
func steps(behind int64, step time.Duration) int64 {
	size := step.Milliseconds()
	if -behind < size/2 && behind < 0 {
		return 0
	}
	behind += min(slack.Milliseconds(), size/2)
	n := behind / size
	if behind%size < 0 {
		n--
	}
	return n * int64(step/time.Second)
}

// provesClock reports whether a sentAt that lies before the receipt is proof of a clock
// that is behind, rather than of a batch that took long to come. One that lies after it
// always is proof of one that is ahead.
func (h *Handler) provesClock(b *batch, m *head, seconds int64) bool {
	context := m.context
	if len(context) == 0 {
		context = b.context
	}
	switch library(context) {
	case sentAtTry:
		return true
	case sentAtClosed:
		return false
	}
	perMessage := !m.sentAt.IsZero() && b.kind == "" // hence written when it was enqueued
	return !perMessage && !b.retry && seconds <= int64(day/time.Second)
}

// happenedAt returns a message with another time.
func happenedAt(parsed kissmetrics.Message, at time.Time) kissmetrics.Message {
	switch m := parsed.(type) {
	case kissmetrics.Identify:
		m.Timestamp = at
		return m
	case kissmetrics.Page:
		m.Timestamp = at
		return m
	case kissmetrics.Screen:
		m.Timestamp = at
		return m
	case kissmetrics.Track:
		m.Timestamp = at
		return m
	case kissmetrics.Group:
		m.Timestamp = at
		return m
	case kissmetrics.Alias:
		m.Timestamp = at
		return m
	}
	return parsed
}
