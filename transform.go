package kissmetrics

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// A PrefixStyle says how the names of properties are prefixed with the name of
// their event, which for a page is "Page". The names of a screen's properties
// and of traits are never prefixed, and neither is "Billing Amount".
type PrefixStyle int

const (
	// PrefixNone leaves names as they are.
	PrefixNone PrefixStyle = iota
	// PrefixHyphen names properties "<event>-<property>", and revenue "<event> -
	// revenue", as RudderStack's cloud mode does.
	PrefixHyphen
	// PrefixSpacedHyphen names all properties "<event> - <property>", as
	// RudderStack's web device mode and Segment do.
	PrefixSpacedHyphen
)

// TransformOptions say how [Transform] names things. The zero value is ready to
// use.
type TransformOptions struct {
	// Prefix is how names of properties are prefixed with that of their event.
	Prefix PrefixStyle
	// AliasOnIdentify makes an alias of every Identify with two different ids as
	// well, as Segment does. Kissmetrics cannot undo an alias.
	//
	// Beware of anonymous ids that outlive a visit: RudderStack's web SDKs keep the
	// anonymousId when a visitor logs out and another logs in. The two people then
	// become one, for good, unless the page calls reset(true). A [Client] and
	// package collect remember whom they have joined, and leave out an alias of an
	// identity that was another person's, or that is known to be a named one
	// ([AdjustedAlias]). Transform, which knows one message only, cannot.
	AliasOnIdentify bool
	// OrderTotalAsRevenue takes the property "total" of an event "Order Completed"
	// (or "Completed Order", in any case, with spaces or underscores) for its
	// revenue where it has none, as Segment does.
	OrderTotalAsRevenue bool
	// Strict refuses a message that would otherwise be adjusted, with a
	// [*ValidationError] for each [Adjustment]. Five things are adjusted and told as
	// always: a reserved name, blanks around an identity, a nested value that has to
	// give way to a literal name, a revenue that is no amount, and the time of an
	// alias. Any time from 2009 to the year 9999 is believed.
	Strict bool
	// MaxValueLength is the number of characters to which values are cut, at most
	// 8192; zero means [MaxValueLength]. Kissmetrics documents no more.
	MaxValueLength int
}

// Transform returns the records that a message becomes, in the order in which
// they are to be sent:
//
//   - Identify: the traits as properties; with AliasOnIdentify and two
//     different ids, an alias before them.
//   - Page, Screen: an event.
//   - Track: an event, and for each of its products one record of properties.
//   - Group: the group's id and traits as properties of the person.
//   - Alias: an alias, of the previous identity to the new one.
//
// It follows [RudderStack's Kissmetrics destination], except where the file
// docs/rudderstack.md of this module says otherwise, and writes values as
// [Properties] says.
//
// A message is refused only if it does not say whom it is about, what happened,
// or, for an alias and a group, which identities or which group it joins. The
// error is one or several joined [*ValidationError] then, and there are no
// records. Anything else that cannot be sent as it is given is adjusted: the
// adjustments say what was changed, in the order of their fields and properties, each
// once. [Adjustment] has the list.
//
// A message without a Timestamp happens at now. One whose time is impossible,
// before 2009 or more than a day after now, happens at the next possible time that
// [ParseMessage] found in it, or else at now. If now is no better, zero or before
// 2009, the message is refused, unless it is an alias.
//
// Transform is pure: it reads no clock, does no I/O, keeps and changes nothing
// of the message, and returns the same records and adjustments for the same
// message and options. It is safe for concurrent use.
//
// [RudderStack's Kissmetrics destination]: https://www.rudderstack.com/docs/destinations/streaming-destinations/kissmetrics/
func Transform(message Message, now time.Time, options TransformOptions) ([]Record, []Adjustment, error) {
	records, adjustments, _, err := transform(message, now, options)
	return records, adjustments, err
}

// transform is [Transform], and says whether the message happens at now for want of
// a time of its own.
func transform(message Message, now time.Time, options TransformOptions) ([]Record, []Adjustment, bool, error) {
	t := newTransformer(now, options)
	records := t.message(message)
	if t.found.Overflowed() { // what is cut off must not depend on the order of a map
		t = newTransformer(now, options)
		t.found.Ordered = true
		records = t.message(message)
	}
	t.tellNotes()
	if err := t.err(); err != nil {
		return nil, nil, false, err
	}
	return records, t.adjusted(), t.stamped, nil
}

// transformer makes the records of one message.
type transformer struct {
	problems
	options     TransformOptions
	now         time.Time
	stamped     bool              // the message happens now
	object      jsonwalk.Object   // the properties of the message, if they are still JSON
	records     []Record          // has none yet, and perhaps room for some
	room        []Property        // what the properties of records are parts of
	found       flatten.Flattener // properties
	adjustments []Adjustment
}

func newTransformer(now time.Time, options TransformOptions) *transformer {
	t := &transformer{options: options, now: now}
	t.found.MaxValue = min(max(options.MaxValueLength, 0), maxRecordValue)
	return t
}

func (t *transformer) message(message Message) []Record {
	switch m := message.(type) {
	case Identify:
		return t.identify(m)
	case Page:
		return t.view(view(m), "Page")
	case Screen:
		return t.view(view(m), "Screen")
	case Track:
		return t.track(m)
	case Group:
		return t.group(m)
	case Alias:
		return t.alias(m)
	case wireMessage:
		return t.wire(m.Wire())
	}
	// A pointer to one of these, or nothing.
	if rv := reflect.ValueOf(message); rv.Kind() == reflect.Pointer && !rv.IsNil() {
		if pointee, ok := reflect.TypeAssert[Message](rv.Elem()); ok {
			return t.message(pointee)
		}
	}
	t.add("type", "the message is nil, or not one of this package")
	return nil
}

// members flattens the properties of the message but for the one named skip, which it
// returns.
func (t *transformer) members(properties Properties, skip string) (skipped any) {
	if t.object != nil {
		return t.found.JSON(t.object, skip)
	}
	return t.found.Members(properties, skip)
}

func (t *transformer) identify(m Identify) []Record {
	person, when := t.person(m.UserID, m.AnonymousID), t.time(m.Timestamp, m.parsed)
	t.members(m.Traits, "")
	set := Record{Kind: KindProperties, Person: person, Time: when, Properties: t.settle()}
	if !t.options.AliasOnIdentify || name.Blank(m.AnonymousID) || identityProblem(name.Trim(m.UserID)) != "" {
		return append(t.records, set)
	}
	if reason := identityProblem(name.Trim(m.AnonymousID)); reason != "" {
		t.adjust(Adjustment{Field: "anonymousId", Kind: AdjustedIdentity}, reason)
		return append(t.records, set)
	}
	if name.SameIdentity(m.UserID, m.AnonymousID) {
		return append(t.records, set)
	}
	previous := t.identity("anonymousId", m.AnonymousID)
	return append(t.records, Record{Kind: KindAlias, Person: previous, Name: person, Time: when}, set)
}

// view is what Page and Screen have in common: all of it.
type view Page

func (t *transformer) view(m view, noun string) []Record {
	person, when := t.person(m.UserID, m.AnonymousID), t.time(m.Timestamp, m.parsed)
	if products := t.found.Objects(productsName, t.members(m.Properties, productsName)); len(products) > 0 {
		t.found.Elements(productsName, products)
	}
	event := "Loaded a " + noun
	if !name.Blank(m.Name) {
		category := t.category(m.Category)
		if category != "" {
			category += " "
		}
		event = "Viewed " + category + m.Name + " " + strings.ToLower(noun)
	}
	event = t.event(event)
	t.bill()
	if noun == "Page" {
		t.prefix(noun, t.options.Prefix)
	}
	return append(t.records, Record{Kind: KindEvent, Person: person, Name: event, Time: when, Properties: t.settle()})
}

// category returns the category of a page or screen: that of its properties, or
// else its own. Neither false nor the number 0 is one, nor is what is blank.
func (t *transformer) category(own string) string {
	p := t.found.Find("category")
	switch {
	case p == nil || name.Blank(p.Value):
	case p.Class == flatten.Bool && p.Value == "false", p.Class == flatten.Number && p.Value == "0":
	default:
		return p.Value
	}
	if name.Blank(own) {
		return ""
	}
	return own
}

const productsName = "products"

func (t *transformer) track(m Track) []Record {
	person, when, event := t.person(m.UserID, m.AnonymousID), t.time(m.Timestamp, m.parsed), t.event(m.Event)
	products := t.found.Objects(productsName, t.members(m.Properties, productsName))
	if t.options.OrderTotalAsRevenue && isOrderCompleted(m.Event) {
		t.totalAsRevenue()
	}
	t.bill()
	t.prefix(event, t.options.Prefix)
	records := slices.Grow(t.records, 1+len(products))
	records = append(records, Record{Kind: KindEvent, Person: person, Name: event, Time: when, Properties: t.settle()})
	for i, product := range products {
		// The members are properties of their own, not parts of "products".
		t.found.Under = productsName + "." + strconv.Itoa(i)
		t.found.Element(product)
		t.prefix(event, t.options.Prefix)
		if properties := t.settle(); len(properties) > 0 {
			second := when.Add(time.Duration(len(records)) * time.Second)
			records = append(records, Record{Kind: KindProperties, Person: person, Time: second, Properties: properties})
		}
	}
	if reason := timeProblem(records[len(records)-1].Time); reason != "" && timeProblem(when) == "" {
		t.add("timestamp", "of the last product "+reason)
	}
	return records
}

func (t *transformer) group(m Group) []Record {
	person, when := t.person(m.UserID, m.AnonymousID), t.time(m.Timestamp, m.parsed)
	if name.Blank(m.GroupID) {
		t.add("groupId", "is missing")
	}
	t.members(m.Traits, "")
	t.found.Add("id", m.GroupID, flatten.Text)
	t.prefix("Group", PrefixSpacedHyphen)
	return append(t.records, Record{Kind: KindProperties, Person: person, Time: when, Properties: t.settle()})
}

func (t *transformer) alias(m Alias) []Record {
	validateMerge(&t.problems, name.Trim(m.PreviousID), name.Trim(m.UserID))
	previous, user := t.identity("previousId", m.PreviousID), t.identity("userId", m.UserID)
	return append(t.records, Record{Kind: KindAlias, Person: previous, Name: user, Time: t.aliasTime(m)})
}

// person returns whom a message is about: its userId, or its anonymousId if
// there is no userId that can be one person's.
func (t *transformer) person(userID, anonymousID string) string {
	if name.Blank(userID) {
		if reason := identityProblem(name.Trim(anonymousID)); reason != "" {
			t.add("identity", reason)
		}
		return t.identity("anonymousId", anonymousID)
	}
	reason := identityProblem(name.Trim(userID))
	if reason == "" {
		return t.identity("userId", userID)
	}
	if identityProblem(name.Trim(anonymousID)) != "" {
		t.add("identity", reason)
		return ""
	}
	t.adjust(Adjustment{Field: "userId", Kind: AdjustedIdentity}, reason)
	return t.identity("anonymousId", anonymousID)
}

// identity returns an identity without the blanks around it, which would make
// another person of it.
func (t *transformer) identity(field, identity string) string {
	trimmed := name.Trim(identity)
	if trimmed != identity && trimmed != "" {
		t.adjust(Adjustment{Field: field, Kind: AdjustedIdentity}, "")
		trimmed = strings.Clone(trimmed) // without the blanks, which may be many
	}
	return trimmed
}

// event returns the name of an event, cut if it is too long.
func (t *transformer) event(s string) string {
	if name.Blank(s) {
		t.add("event", "is missing")
		return ""
	}
	if name.TooLong(s) {
		t.adjust(Adjustment{Field: "event", Kind: AdjustedNameCut}, "has more than 255 characters")
		s = strings.Clone(name.Cut(name.Trim(s), name.MaxChars)) // without the blanks, which may be many
	}
	return name.Valid(s)
}

// time returns when a message happened, in whole seconds.
func (t *transformer) time(own time.Time, memory *parsed) time.Time {
	t.recall(memory)
	reason := t.impossible(own)
	when := t.possible(own, memory)
	switch {
	case own.IsZero() || reason == "":
	case when.IsZero():
		t.add("timestamp", reason)
		return when
	default:
		t.adjust(Adjustment{Field: "timestamp", Kind: AdjustedTime}, reason)
	}
	if reason := timeProblem(when); reason != "" {
		t.add("timestamp", reason)
	}
	return wholeSeconds(when)
}

// aliasTime returns when an alias happened. The tracking API takes no time for an
// alias, so none is refused for it.
func (t *transformer) aliasTime(m Alias) time.Time {
	t.recall(m.parsed)
	when := t.possible(m.Timestamp, m.parsed)
	if !m.Timestamp.IsZero() && !when.Equal(m.Timestamp) {
		t.adjust(Adjustment{Field: "timestamp", Kind: AdjustedTime}, "")
	}
	if timeProblem(when) != "" {
		return time.Time{}
	}
	return wholeSeconds(when)
}

// possible returns the first possible time of a message, or else now.
func (t *transformer) possible(own time.Time, memory *parsed) time.Time {
	switch {
	case own.IsZero():
	case t.impossible(own) == "":
		return own
	case memory != nil:
		for _, other := range memory.times {
			if t.impossible(other) == "" {
				return other
			}
		}
	}
	t.stamped = true
	return t.now
}

// impossible says why a message cannot have happened at a time, or nothing.
func (t *transformer) impossible(when time.Time) string {
	if reason := timeProblem(when); reason != "" {
		return reason
	}
	const ahead = 24 * time.Hour // of our clock is as far as a fast one can be
	if !t.options.Strict && timeProblem(t.now) == "" && when.After(t.now.Add(ahead)) {
		return "is more than a day ahead"
	}
	return ""
}

// recall tells what was adjusted when the message was read.
func (t *transformer) recall(memory *parsed) {
	if memory == nil {
		return
	}
	for _, a := range memory.adjustments {
		t.adjust(a, string(a.Kind))
	}
}

func wholeSeconds(when time.Time) time.Time {
	if when.IsZero() {
		return when
	}
	return time.Unix(when.Unix(), 0).UTC()
}
