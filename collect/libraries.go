package collect

import (
	"bytes"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// A sentAtKind says when an SDK writes the sentAt of a request.
type sentAtKind int

const (
	// sentAtUnknown is that of an SDK that is not listed.
	sentAtUnknown sentAtKind = iota
	// sentAtTry is written anew at every try, or when the first of a few tries begins
	// that end within a minute: what lies between it and the receipt is the difference
	// of the clocks.
	sentAtTry
	// sentAtClosed is written when the batch is closed or the message enqueued, and kept
	// while that waits on a disk, or is tried again for hours: a delay looks like a
	// clock that is behind.
	sentAtClosed
)

// libraries are the names that SDKs give themselves in context.library, in lower
// case, and when they write sentAt. The section "Clocks" of SDKS.md has the SDKs and
// their versions.
var libraries = map[string]sentAtKind{
	// Browsers and service workers.
	"rudderlabs javascript sdk": sentAtTry,
	"analytics-service-worker":  sentAtTry,    // RudderStack's
	"analytics.js":              sentAtTry,    // Segment's, Customer.io's and June's
	"events-sdk-js":             sentAtTry,    // Hightouch's, as all that begin so
	"meergo.js":                 sentAtClosed, // writes the body once, and sends it until it is accepted
	// Phones.
	"com.rudderstack.android.sdk.core":   sentAtTry,
	"com.rudderstack.sdk.kotlin.android": sentAtTry,
	"com.rudderstack.sdk.kotlin.core":    sentAtTry,
	"rudder-ios-library":                 sentAtTry,
	"rudder-sdk-swift":                   sentAtTry,
	"analytics-android":                  sentAtTry,
	"analytics-ios":                      sentAtTry,
	"analytics-react-native":             sentAtTry,
	"events-sdk-android":                 sentAtTry,
	"@ht-sdks/events-sdk-react-native":   sentAtTry,
	"analytics-kotlin":                   sentAtClosed,
	"analytics-swift":                    sentAtClosed,
	"events-sdk-kotlin":                  sentAtClosed,
	"events-sdk-swift":                   sentAtClosed,
	"customer.io android client":         sentAtClosed, // a userAgent, for it has no library
	"customer.io ios client":             sentAtClosed, // the same
	// Servers.
	"analytics-node":              sentAtTry, // RudderStack's, and Segment's old one
	"@expo/rudder-sdk-node":       sentAtTry, // though each message has one, written when the batch is sent
	"analytics-nodejs":            sentAtTry, // Meergo's
	"@segment/analytics-node":     sentAtTry,
	"@ht-sdks/events-sdk-js-node": sentAtTry,
	"analytics-python":            sentAtTry, // RudderStack's, Segment's, Customer.io's and Meergo's
	"events-sdk-python":           sentAtTry,
	"analytics-go":                sentAtTry, // all but Hightouch's
	"events-sdk-go":               sentAtTry,
	"analytics-php":               sentAtTry,
	"rudder-analytics-php":        sentAtTry,
	"events-sdk-php":              sentAtTry,
	"analytics-ruby":              sentAtTry, // Segment's
	"events-sdk-ruby":             sentAtTry,
	"rudder-sdk-ruby-sync":        sentAtTry,
	"analytics.net":               sentAtTry,
	"rudderanalytics.net":         sentAtTry,
	"rudderanalytics-ruby":        sentAtClosed,
	"simple_segment":              sentAtClosed, // a batch of it may wait in a queue of jobs
	"analytics-java":              sentAtClosed, // RudderStack's and Segment's
	"events-sdk-java":             sentAtClosed,
	"analytics-csharp":            sentAtClosed,
	"events-sdk-csharp":           sentAtClosed,
}

// library is [library] of a context of the batch. Most are like the one before.
func (b *batch) library(context []byte) sentAtKind {
	if !b.wasRead || !bytes.Equal(b.lastContext, context) {
		b.wasRead, b.lastContext, b.lastLibrary = true, context, library(context)
	}
	return b.lastLibrary
}

// library returns when the SDK of a message writes sentAt.
func library(context []byte) sentAtKind {
	object := jsonwalk.Object(context)
	name := jsonwalk.Unquote(jsonwalk.Object(object.Find("library")).Find("name"))
	if len(name) == 0 {
		name, _, _ = bytes.Cut(jsonwalk.Unquote(object.Find("userAgent")), []byte("/"))
	}
	return libraries[string(bytes.ToLower(name))]
}
