// Package kmq is the half of Kissmetrics that lives in the page: what a program
// that renders HTML puts into it, and what it learns from the visitor's browser.
//
// A page has a queue, the JavaScript variable _kmq, whose commands Kissmetrics'
// own script carries out in the visitor's name once it has loaded. RudderStack
// calls this device mode. A page is made of three things:
//
//	commands, adjustments, err := kmq.Commands(kissmetrics.Page{Name: "home"}, kmq.Options{})
//	script, err := kmq.Script(nonce, commands...)                                  // the commands
//	snippet, err := kmq.Snippet(kmq.SnippetOptions{APIKey: apiKey, Nonce: nonce}) // the loader
//
// [Script] and [Snippet] return HTML for package html/template. The API key is
// in every page that uses Kissmetrics, for everybody to read: it is no secret
// there, and lets its reader write events but read none.
//
// The script keeps who the visitor is in two cookies. [Identity] reads them, so
// that what the program itself sends, with a [kissmetrics.Client], is told of
// the same person.
//
// [Beacon] is for where there is no script: the picture in an e-mail.
//
// Everything in this package is safe for concurrent use. Package kmqtest has a
// stand-in for Kissmetrics' script, for tests in a browser.
package kmq

import (
	"reflect"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// Options say how [Commands] names and times things. The zero value is ready,
// except for events with products.
type Options struct {
	// Prefix is how the names of properties are prefixed with that of their event.
	// RudderStack's setting "Prefix Properties" is, in device mode,
	// [kissmetrics.PrefixSpacedHyphen].
	Prefix kissmetrics.PrefixStyle
	// OrderTotalAsRevenue takes the total of a completed order for its revenue;
	// see [kissmetrics.TransformOptions].
	OrderTotalAsRevenue bool
	// Strict refuses a message that would otherwise be adjusted.
	Strict bool
	// Now is the time of an event that has products but no timestamp: each
	// product is set at a second of its own, which must be counted from
	// something. If it is zero or before 2009, such a message is refused. Other
	// messages use it only to find out whether their time is more than a day ahead;
	// without Now, no time is.
	Now time.Time
}

// Commands returns the commands that a message becomes on a page, in their
// order:
//
//   - Identify: "identify" if there is a UserID, and "set" if there are traits.
//   - Page, Screen: "record".
//   - Track: "record", and a "set" for each of its products.
//   - Group: "set".
//   - Alias: "alias", of the new identity and the previous one.
//
// Names, values, what is adjusted and what is refused are those of
// [kissmetrics.Transform]. But the person of a command is whoever looks at the
// page. So the identities of a Page, Screen, Track or Group are not used, and
// neither is any AnonymousID: send an Identify before them. An Identify whose
// UserID is one that many people share, such as "guest", identifies nobody, and
// sets its traits on the visitor as they are known; an adjustment says so.
//
// A message without a timestamp happens when the browser carries out the
// command. One that has a timestamp happens then, which also makes it count
// once however often the page is loaded: give one to what must not count twice,
// such as an order. A message with products has the time of Options.Now where
// it has none of its own, and so has each product, a second after the one
// before. A time that is impossible is replaced by the browser's, and by
// Options.Now for an event with products.
//
// RudderStack's own integration (rudderlabs/rudder-sdk-js) does three more
// things, which this does not:
//
//   - It sets the property "Mobile Session" to "Yes" on a phone or a tablet.
//   - It takes a Group without a GroupID, and sets its traits.
//   - It sets "Billing Amount" from a revenue among a group's traits and, with
//     prefixed properties, among a product's. Here that is a property like any
//     other: a report of revenue would count an order and its products twice.
//
// Commands is pure, like Transform, and tells what it adjusted as Transform does.
// The error is one or several joined [*kissmetrics.ValidationError], and then
// there are no commands. A message is also refused if a command would be too
// long; see [Command.Validate].
//
// See https://www.rudderstack.com/docs/destinations/streaming-destinations/kissmetrics/
// and https://oldsupport.kissmetrics.com/apis/javascript.
func Commands(message kissmetrics.Message, options Options) ([]Command, []kissmetrics.Adjustment, error) {
	if rv := reflect.ValueOf(message); rv.Kind() == reflect.Pointer && !rv.IsNil() {
		if pointee, ok := reflect.TypeAssert[kissmetrics.Message](rv.Elem()); ok {
			return Commands(pointee, options)
		}
	}
	message, when := onPage(message)
	now, hasNow := options.Now, options.Now.Unix() >= name.Earliest
	if !hasNow {
		now = someTime
	}
	records, adjustments, err := kissmetrics.Transform(message, now, kissmetrics.TransformOptions{
		Prefix: options.Prefix, OrderTotalAsRevenue: options.OrderTotalAsRevenue, Strict: options.Strict,
	})
	if err != nil {
		return nil, nil, err
	}
	// A time that was replaced by now is none of the message's own.
	timed := !when.IsZero() && (records[0].Time.Unix() == when.Unix() || records[0].Time.Unix() != now.Unix())
	if !timed && len(records) > 1 {
		if !hasNow {
			return nil, nil, &kissmetrics.ValidationError{Field: "timestamp", Reason: "is missing, and an event with products needs one"}
		}
		timed = true // the event too, or a product might fall into its second
	}
	var commands []Command
	if _, ok := message.(kissmetrics.Identify); ok && records[0].Person != somebody {
		commands = append(commands, Command{Kind: KindIdentify, ID: records[0].Person})
	}
	for _, r := range records {
		if c := command(r, timed); c.Kind != KindSet || len(c.Properties) > 0 { // an Identify may have no traits
			commands = append(commands, c)
		}
	}
	for _, c := range commands {
		if err := c.Validate(); err != nil {
			return nil, nil, err
		}
	}
	return commands, adjustments, nil
}

// command returns the command that a record is on a page, with the record's
// time or without one.
func command(r kissmetrics.Record, timed bool) Command {
	c := Command{Kind: KindSet, Properties: r.Properties}
	switch r.Kind {
	case kissmetrics.KindEvent:
		c.Kind, c.Event = KindRecord, r.Name
	case kissmetrics.KindAlias:
		return Command{Kind: KindAlias, ID: r.Name, PreviousID: r.Person}
	}
	if timed {
		c.Time = r.Time
	}
	return c
}

// What stands, where a record is made or checked, for what a command lacks: who
// the visitor is, and when it will be. Neither ever gets into a command. No message
// is ahead of that time.
var someTime = time.Date(9000, time.January, 1, 0, 0, 0, 0, time.UTC)

const somebody = "the visitor of a page"

// onPage returns a message as it is on a page, where it is about the visitor
// unless it says who that is, and its own time.
func onPage(message kissmetrics.Message) (kissmetrics.Message, time.Time) {
	switch m := message.(type) {
	case kissmetrics.Identify:
		m.AnonymousID = somebody
		return m, m.Timestamp
	case kissmetrics.Page:
		m.UserID, m.AnonymousID = "", somebody
		return m, m.Timestamp
	case kissmetrics.Screen:
		m.UserID, m.AnonymousID = "", somebody
		return m, m.Timestamp
	case kissmetrics.Track:
		m.UserID, m.AnonymousID = "", somebody
		return m, m.Timestamp
	case kissmetrics.Group:
		m.UserID, m.AnonymousID = "", somebody
		return m, m.Timestamp
	}
	return message, time.Time{} // an Alias, or nil
}
