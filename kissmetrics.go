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
// Kissmetrics answers every request with 200 and drops what it cannot use.
// Therefore everything is checked before it is sent. A part of a message that would
// be lost is changed so that Kissmetrics keeps it, or is left out, and an [Adjustment]
// says so; a message without a person or an event is refused with a [*ValidationError].
// See [Transform] and [Properties]. The file docs/rudderstack.md of this module lists
// the differences from RudderStack and Segment.
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
//   - Integers and floating-point numbers of every kind, those of math/big and
//     every [encoding/json.Number] are written in plain decimal, with all their digits,
//     without an exponent and without zeros at the end of a fraction. A big.Rat
//     that has no end in decimal is written with 19 digits or more.
//   - A [time.Time] becomes Unix seconds, a [time.Duration] decimal seconds. A zero
//     Time says nothing, and is dropped.
//   - A value that may be NULL in a database is dropped if it is NULL, and is
//     otherwise the value in it: the types of database/sql, and structs with a
//     method Value (a driver.Valuer).
//   - Anything else with a MarshalText, MarshalJSON, MarshalJSONTo, String or Error
//     method is what the first of these returns. JSON, which includes
//     [encoding/json.RawMessage], is taken apart like any other value. The text of a
//     type that has a Float64 method, such as a decimal type's, is a number.
//   - Pointers and interfaces stand for what they point to. Nil is dropped,
//     whatever its type, for it says that there is no value.
//   - Maps with string keys and structs become one property a member, named
//     "a.b.c" at every depth. The fields of structs are those of encoding/json, with
//     their json tags. An empty map or struct is dropped.
//   - A slice or array of scalars, nested or not, becomes one text joined with
//     commas, in which nil is empty: [1, nil, "x"] is "1,,x", and an empty slice
//     is the empty string. If a map or a struct is among the elements, each
//     element is named by its index instead: "items.0.sku", "items.1.sku".
//   - A []byte is text.
//
// What cannot be sent is left out or cut, and told as an [Adjustment]; the rest of
// the message is sent:
//
//   - NaN, infinities, channels, functions, complex numbers, members of a map whose
//     keys are not strings, a value whose method fails or panics, and a whole number
//     of too many digits are left out.
//   - A value of more than 512 characters is cut ([TransformOptions] can raise the
//     number), and so is a name of more than 255. If it is the prefix that makes a
//     name too long, the prefix is cut.
//   - A blank name is left out, and so is one that the protocol itself uses (_k, _p,
//     _n, _t, _d and _p2, in any case): a property never overrides them. With a
//     prefix, neither is left out, for it is another name then. Any other name that
//     begins with one underscore is sent, but Kissmetrics' own senders use such
//     names (_ip, _ua, _c) for what is no property, so it may not be kept.
//   - Of several names that Kissmetrics cannot tell apart, for it ignores case and
//     reads a comma or colon as a space, the least nested stays, and among those
//     the first in the order of bytes: of {"a.b": 1, "a": {"b": 2}} the 1 is sent.
//     Values that are equal are not told.
//   - What is nested more than 64 levels deep, or in a cycle, is left out, and so is
//     what comes after the first 65,536 values of a message.
//
// See [Kissmetrics' specification].
//
// [Kissmetrics' specification]: https://support.kissmetrics.io/reference/api-specifications-1
type Properties map[string]any

// A Message is one of [Identify], [Page], [Screen], [Track], [Group] and
// [Alias], or a pointer to one.
//
// Every message names its person by UserID, or else by AnonymousID. An identity
// must be one person's: it is not blank, has at most 255 characters, is valid
// UTF-8, and is not a word that stands for nobody, such as "anonymous", "guest",
// "null", "0" or "[object Object]", in any case and also in quotes. If the
// UserID is not one person's, the AnonymousID is used. Blanks around an identity are
// removed. A message without an identity is refused.
//
// Its Timestamp says when it happened; it is sent in whole seconds. Zero means now.
// So does a time before 2009-01-01, because Kissmetrics keeps nothing older, or a
// time more than a day ahead: the clock behind it is broken. [Transform] says what
// happens to a message in which [ParseMessage] found other times.
type Message interface {
	// message keeps the set of messages closed, so that Transform knows all.
	message()
}

// Identify says what is known of a person. It sets the traits as properties of
// the person. Kissmetrics shows a person only once it knows an event or a property
// of theirs.
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
	// name of the event only. In Properties, false and the number 0 are none.
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
	// name of the event only. In Properties, false and the number 0 are none.
	Category   string
	Properties Properties
	Timestamp  time.Time

	parsed *parsed
}

// Track records an event.
//
// Two properties have a meaning of their own. "revenue", a number or a text such as
// "$1,234.50", is sent as a plain number and, unless there is one, as "Billing
// Amount" too, which Kissmetrics' revenue reports read. A refund is negative. A text
// that may mean another amount elsewhere ("1,5", "1.234"), or none, is sent as it
// is, without a Billing Amount, and that is told. "products", a list of objects,
// becomes one set of properties a product, each a second later than the one before
// and the first a second after the event, because Kissmetrics may keep only one
// value of a property a second.
type Track struct {
	UserID      string
	AnonymousID string
	// Event is the name of the event. It must not be blank, and is cut after 255
	// characters.
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
	// trait named "id", unless that is an object, whose members have other names.
	GroupID   string
	Traits    Properties
	Timestamp time.Time

	parsed *parsed
}

// Alias says that two identities are one person. Kissmetrics merges the two and
// cannot undo it, so both must be given, must differ by more than case, and must
// each be one person's, as [Message] says.
type Alias struct {
	// UserID is the identity that the person has now.
	UserID string
	// PreviousID is the identity that the person had before.
	PreviousID string
	// Timestamp is not sent to the tracking API, which has no place for it in
	// an alias, so no alias is refused for it.
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
