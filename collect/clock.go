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

// shift returns by how much the time of a message is to be moved, since the clock
// of its device is wrong. It is a whole number of steps.
func (h *Handler) shift(b *batch, m *head) time.Duration {
	const day = 24 * time.Hour
	sent := m.sentAt
	perMessage := !sent.IsZero() && b.kind == "" // hence written when it was enqueued
	if sent.IsZero() {
		sent = b.sentAt
	}
	step := h.config.clockStep
	if sent.IsZero() || step == 0 || m.id == "" || m.original && m.timestamp {
		return 0 // a timestamp beside an originalTimestamp is one that the caller has set
	}
	behind := b.received.Sub(sent)
	rounded := behind.Round(step)
	if rounded == 0 { // the clock is believed, as most are
		return 0
	}
	if behind < -day { // no delay makes it so, and such a time is of no use
		return rounded
	}
	context := m.context
	if len(context) == 0 {
		context = b.context
	}
	switch kind := library(context); {
	case kind == sentAtTry:
		return rounded
	case kind == sentAtClosed, perMessage, b.retry, behind > day: // it may be a delay
		return 0
	}
	return rounded
}

// move moves the time of a message, but not beyond its receipt.
func move(parsed kissmetrics.Message, by time.Duration, received time.Time) kissmetrics.Message {
	move := func(t *time.Time) {
		if t.IsZero() {
			return
		}
		if *t = t.Add(by); t.After(received) {
			*t = received
		}
	}
	switch m := parsed.(type) {
	case kissmetrics.Identify:
		move(&m.Timestamp)
		return m
	case kissmetrics.Page:
		move(&m.Timestamp)
		return m
	case kissmetrics.Screen:
		move(&m.Timestamp)
		return m
	case kissmetrics.Track:
		move(&m.Timestamp)
		return m
	case kissmetrics.Group:
		move(&m.Timestamp)
		return m
	}
	return parsed // the time of an alias is not sent
}
