// Package kissmetrics sends product-analytics events to Kissmetrics.
//
// A [Client] has a method for each message of the RudderStack and Segment
// specifications: Identify, Page, Screen, Track, Group and Alias.
//
//	client, err := kissmetrics.New(kissmetrics.WithAPIKey(os.Getenv("KISSMETRICS_API_KEY")))
//	…
//	err = client.Track(ctx, kissmetrics.Track{
//		UserID:     "user-1",
//		Event:      "Order Completed",
//		Properties: kissmetrics.Properties{"order_id": "o-17", "revenue": 25},
//	})
//
// Each message becomes records ([Transform]), and each record a request
// ([HTTPSender]). Both can be used without the client: a pipeline is
// [ParseMessage], Transform and any [Sender].
//
// Kissmetrics answers every request with 200 and drops what it does not like.
// Therefore everything is checked before it is sent, and what would be lost is
// an error; see [Properties], [Record.Validate] and the README.
//
// Package kissmetricstest has a tracking server for tests.
package kissmetrics

import "time"

// MaxValueLength is how many characters of a value Kissmetrics keeps, as its
// [technical notes] say.
//
// [technical notes]: https://support.kissmetrics.io/docs/technical-notes-on-events-and-properties
const MaxValueLength = 512

// Properties are the properties of an event, or the traits of a person or a
// group. A map is only read, during the call it is passed to, and nothing of it
// is kept.
//
// Kissmetrics knows flat names and text, so every value becomes one or more
// pairs of both:
//
//   - A string is sent as it is, with invalid UTF-8 replaced by U+FFFD. The
//     empty string is a value.
//   - Booleans become "true" and "false".
//   - Integers and floating-point numbers of every kind are written in plain
//     decimal, exactly, and never with an exponent. NaN and infinities are
//     refused. A [encoding/json.Number] keeps its digits.
//   - A [time.Time] becomes Unix seconds, a [time.Duration] decimal seconds.
//   - Anything else with a MarshalText, String, Error or MarshalJSON method is
//     what the first of these returns; JSON is taken apart like any other value.
//   - Pointers and interfaces stand for what they point to. Nil is dropped,
//     whatever its type, for it says that there is no value.
//   - Maps with string keys and structs become one property a member, named
//     "a.b.c" at every depth. Structs follow their json tags, including "-",
//     omitempty, omitzero and embedding. An empty one is dropped. A map with
//     other keys is refused.
//   - A slice or array of scalars, nested or not, becomes one text joined with
//     commas, in which nil is empty: [1, nil, "x"] is "1,,x", and an empty slice
//     is the empty string. If a map or a struct is among the elements, each
//     element is named by its index instead: "items.0.sku", "items.1.sku".
//   - A []byte is text.
//   - Channels, functions and complex numbers are refused, and so are a cycle
//     and nesting beyond 64 levels.
//
// A literal name beats a flattened one: of {"a.b": 1, "a": {"b": 2}} the 1 is
// sent. Otherwise two names that Kissmetrics cannot tell apart (it ignores case
// and reads a comma or colon as a space) are refused unless their values are
// the same, since one of the two would be lost.
//
// Names have at most 255 characters and are not blank, values have at most
// 8192 bytes, and one message holds at most 65,536 values. The names that the
// protocol itself uses (_k, _p, _n, _t, _d and _p2, in any case) are dropped: a
// property never overrides them. See [Kissmetrics' specification].
//
// "Refused" means that the whole message is: its method returns a
// [*ValidationError] and nothing of it is sent.
//
// [Kissmetrics' specification]: https://support.kissmetrics.io/reference/api-specifications-1
type Properties map[string]any

// A Message is one of [Identify], [Page], [Screen], [Track], [Group] and
// [Alias], or a pointer to one.
//
// Every message names its person by UserID or else, where that is blank, by
// AnonymousID: at least one of the two, with at most 255 characters. Its
// Timestamp says when it happened; it is sent in whole seconds and must lie
// between 2009-01-01, before which Kissmetrics keeps nothing, and the year
// 9999. A zero Timestamp means now.
type Message interface {
	// message keeps the set of messages closed, so that Transform knows all.
	message()
}

// Identify says what is known of a person. It sets the traits as properties of
// the person; without traits it still makes the person known.
type Identify struct {
	UserID      string
	AnonymousID string
	Traits      Properties
	Timestamp   time.Time

	parsed *parsed
}

// Page records that a page was viewed: the event "Viewed <category> <name>
// page", "Viewed <name> page", or "Loaded a Page" where there is no name.
type Page struct {
	UserID      string
	AnonymousID string
	Name        string
	// Category is used where Properties holds no "category" of its own, for the
	// name of the event only.
	Category   string
	Properties Properties
	Timestamp  time.Time

	parsed *parsed
}

// Screen records that a screen of an application was viewed: the event "Viewed
// <category> <name> screen", "Viewed <name> screen", or "Loaded a Screen".
type Screen struct {
	UserID      string
	AnonymousID string
	Name        string
	// Category is used where Properties holds no "category" of its own, for the
	// name of the event only.
	Category   string
	Properties Properties
	Timestamp  time.Time

	parsed *parsed
}

// Track records an event.
//
// Two properties have a meaning of their own. "revenue", a number or a text
// such as "$1,234.50", is sent as a plain number and as "Billing Amount" too,
// which Kissmetrics' revenue reports read; a refund is negative. "products", a
// list of objects, becomes one set of properties a product, each a second later
// than the one before and the first a second after the event: Kissmetrics keeps
// one value of a property a second.
type Track struct {
	UserID      string
	AnonymousID string
	// Event is the name of the event: not blank, at most 255 characters.
	Event      string
	Properties Properties
	Timestamp  time.Time

	parsed *parsed
}

// Group says that a person belongs to a group. It sets "Group - id" and, for
// each trait of the group, "Group - <trait>" as properties of the person.
type Group struct {
	UserID      string
	AnonymousID string
	// GroupID is the identity of the group and must not be blank. It wins over a
	// trait named "id".
	GroupID   string
	Traits    Properties
	Timestamp time.Time

	parsed *parsed
}

// Alias says that two identities are one person. Kissmetrics merges the two and
// cannot undo it, so both must be given, must differ, and must not be an
// identity that many people share, such as "anonymous", "guest" or "null".
type Alias struct {
	// UserID is the identity that the person has now.
	UserID string
	// PreviousID is the identity that the person had before.
	PreviousID string
	// Timestamp is not sent to the tracking API, which has no place for it in
	// an alias.
	Timestamp time.Time

	parsed *parsed
}

// parsed is what [ParseMessage] found while it read a message, for [Transform] to
// tell or to use.
type parsed struct {
	adjustments []Adjustment
	times       []time.Time // readable times of the message behind its Timestamp, in their order
}

func (Identify) message() {}
func (Page) message()     {}
func (Screen) message()   {}
func (Track) message()    {}
func (Group) message()    {}
func (Alias) message()    {}
