package kissmetrics

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"
)

const billingAmount = "Billing Amount" // what the revenue reports read

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
	// AliasOnIdentify makes an Identify with both ids an alias of the two as well,
	// as Segment does. Kissmetrics cannot undo an alias.
	AliasOnIdentify bool
	// OrderTotalAsRevenue takes the property "total" of an event "Order Completed"
	// (or "Completed Order", in any case, with spaces or underscores) for its
	// revenue where it has none, as Segment does.
	OrderTotalAsRevenue bool
	// Strict refuses a message that would otherwise be adjusted: each [Adjustment]
	// is a [*ValidationError] then.
	Strict bool
	// MaxValueLength is the number of characters to which values are cut; zero means
	// [MaxValueLength]. Kissmetrics documents no more.
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
// It follows [RudderStack's Kissmetrics destination], but for what the README
// of this module lists, and writes values as [Properties] says.
//
// A message without a Timestamp happens at now. Where now is zero too, such a
// message is refused.
//
// Transform is pure: it reads no clock, does no I/O, keeps and changes nothing
// of the message, and returns the same records for the same message and
// options. It is safe for concurrent use. The error is one or several joined
// [*ValidationError], and then there are no records.
//
// [RudderStack's Kissmetrics destination]: https://www.rudderstack.com/docs/destinations/streaming-destinations/kissmetrics/
func Transform(message Message, now time.Time, options TransformOptions) ([]Record, []Adjustment, error) {
	t := transformer{options: options, now: now}
	var records []Record
	switch m := message.(type) {
	case Identify:
		records = t.identify(m)
	case Page:
		records = t.view(view(m), "Page")
	case Screen:
		records = t.view(view(m), "Screen")
	case Track:
		records = t.track(m)
	case Group:
		records = t.group(m)
	case Alias:
		records = t.alias(m)
	default:
		// A pointer to one of these, or nothing.
		if rv := reflect.ValueOf(message); rv.Kind() == reflect.Pointer && !rv.IsNil() {
			if pointee, ok := reflect.TypeAssert[Message](rv.Elem()); ok {
				return Transform(pointee, now, options)
			}
		}
		return nil, nil, &ValidationError{Field: "type", Reason: "the message is nil, or not one of this package"}
	}
	if err := t.err(); err != nil {
		return nil, nil, err
	}
	return records, nil, nil
}

// transformer makes the records of one message.
type transformer struct {
	flattener
	options TransformOptions
	now     time.Time
}

func (t *transformer) identify(m Identify) []Record {
	t.members("", m.Traits, "", 0)
	set := t.record(KindProperties, person(m.UserID, m.AnonymousID), "", m.Timestamp)
	set.validateHead(&t.problems)
	if !t.options.AliasOnIdentify || blank(m.UserID) || blank(m.AnonymousID) || m.UserID == m.AnonymousID {
		return []Record{set}
	}
	alias := Record{Kind: KindAlias, Person: m.AnonymousID, Name: m.UserID, Time: set.Time}
	alias.validateAlias(&t.problems, "anonymousId")
	return []Record{alias, set}
}

// view is what Page and Screen have in common: all of it.
type view Page

func (t *transformer) view(m view, noun string) []Record {
	t.members("", m.Properties, "", 0)
	category := m.Category
	if own := t.literal("category"); own != nil && !blank(own.Value) {
		category = own.Value
	}
	var name string
	switch {
	case blank(m.Name):
		name = "Loaded a " + noun
	case blank(category):
		name = "Viewed " + m.Name + " " + strings.ToLower(noun)
	default:
		name = "Viewed " + category + " " + m.Name + " " + strings.ToLower(noun)
	}
	t.bill()
	if noun == "Page" {
		t.prefix(noun, t.options.Prefix)
	}
	event := t.record(KindEvent, person(m.UserID, m.AnonymousID), valid(name), m.Timestamp)
	event.validateHead(&t.problems)
	return []Record{event}
}

func (t *transformer) track(m Track) []Record {
	t.members("", m.Properties, productsName, 0)
	products := t.products(t.skipped)
	if t.options.OrderTotalAsRevenue && isOrderCompleted(m.Event) {
		t.totalAsRevenue()
	}
	t.bill()
	name := valid(m.Event)
	t.prefix(name, t.options.Prefix)
	event := t.record(KindEvent, person(m.UserID, m.AnonymousID), name, m.Timestamp)
	event.validateHead(&t.problems)
	records := append(make([]Record, 0, 1+len(products)), event)
	for _, product := range products {
		if product.class == object {
			// The members are properties of their own, not parts of "products".
			t.object("", product.value, 0)
		}
		t.prefix(name, t.options.Prefix)
		set := Record{Kind: KindProperties, Person: event.Person, Properties: t.settle()}
		if len(set.Properties) == 0 {
			continue
		}
		set.Time = event.Time.Add(time.Duration(len(records)) * time.Second)
		if len(t.problems) == 0 { // or the event's would be told again
			set.validateHead(&t.problems)
		}
		records = append(records, set)
	}
	return records
}

const productsName = "products"

// products returns the elements of a list of objects (nil among them, but not
// nil alone). Any other value it flattens, like that of any other property,
// but for an empty list, which says nothing.
func (t *transformer) products(v any) []element {
	s, class := t.scalar(productsName, v, 1)
	switch class {
	case text, literal:
		t.put(productsName, s, class, 1)
	case object:
		t.object(productsName, t.rest, 1)
	case list:
		elements, hasObject := t.elements(productsName, t.rest, 1)
		other := func(e element) bool { return e.class != object && e.class != none }
		if hasObject && !slices.ContainsFunc(elements, other) {
			return elements
		}
		if len(elements) > 0 {
			t.elementsUnder(productsName, elements, hasObject, 1)
		}
	}
	return nil
}

func (t *transformer) group(m Group) []Record {
	if blank(m.GroupID) {
		t.add("groupId", "is missing")
	}
	t.members("", m.Traits, "id", 0)
	t.put("id", sent(m.GroupID), text, 1)
	t.prefix("Group", PrefixSpacedHyphen)
	set := t.record(KindProperties, person(m.UserID, m.AnonymousID), "", m.Timestamp)
	set.validateHead(&t.problems)
	return []Record{set}
}

func (t *transformer) alias(m Alias) []Record {
	alias := t.record(KindAlias, m.PreviousID, m.UserID, m.Timestamp)
	alias.validateHead(&t.problems)
	return []Record{alias}
}

// person returns the identity of a message.
func person(userID, anonymousID string) string {
	if blank(userID) {
		return anonymousID
	}
	return userID
}

// literal returns the property of the given name, which has no dot and so is not
// that of a nested one.
func (t *transformer) literal(name string) *Property {
	for i := range t.count {
		if p := t.property(i); p.Name == name {
			return p
		}
	}
	return nil
}

// amount returns the amount of money that the property of that very name is.
func (t *transformer) amount(name string) (property *Property, amount string, ok bool) {
	property = t.literal(name)
	if property == nil || slices.Contains(t.lists, name) { // the text of a list may look like one
		return property, "", false
	}
	if property.Literal && !strings.HasSuffix(property.Value, "0") && property.Value != "true" && property.Value != "false" {
		return property, property.Value, true // as plain as can be
	}
	amount, ok = parseAmount(property.Value)
	return property, amount, ok
}

// bill makes revenue a plain number, and says it as Billing Amount too where
// that is not given.
func (t *transformer) bill() {
	revenue, amount, ok := t.amount("revenue")
	if !ok {
		return
	}
	revenue.Value, revenue.Literal = amount, true
	for i := range t.count {
		if name := t.property(i).Name; len(name) == len(billingAmount) && sameName(name, billingAmount) {
			return
		}
	}
	t.put(billingAmount, amount, literal, 1)
}

// totalAsRevenue takes an order's total for its revenue, where it has none.
func (t *transformer) totalAsRevenue() {
	if _, amount, ok := t.amount("total"); ok && t.literal("revenue") == nil {
		t.put("revenue", amount, literal, 1)
	}
}

// isOrderCompleted reports whether an event is a completed order, however it is
// spelled: "Order Completed", "Completed Order", "order_completed".
func isOrderCompleted(event string) bool {
	switch strings.ToLower(strings.NewReplacer(" ", "", "_", "").Replace(event)) {
	case "ordercompleted", "completedorder":
		return true
	}
	return false
}

// prefix names the properties after their event.
func (t *transformer) prefix(event string, style PrefixStyle) {
	if style == PrefixNone || tooManyChars(event) { // which is refused for itself
		return
	}
	for i := range t.count {
		switch name := &t.property(i).Name; {
		case sameName(*name, billingAmount):
		case style == PrefixHyphen && *name != "revenue":
			*name = t.join(event, "-", *name)
		default:
			*name = t.join(event, " - ", *name)
		}
	}
}

// record returns a record with the properties flattened so far.
func (t *transformer) record(kind Kind, person, name string, when time.Time) Record {
	if when.IsZero() {
		when = t.now
	}
	if !when.IsZero() {
		when = time.Unix(when.Unix(), 0).UTC()
	}
	return Record{Kind: kind, Person: person, Name: name, Time: when, Properties: t.settle()}
}

// settle returns the flattened properties sorted by name, less the reserved
// ones. Of several with one name the least nested wins; where that leaves
// several with different values, they are a problem.
func (t *transformer) settle() []Property {
	// What is sorted is one number a property, its place below the start of its
	// name: cheap to compare, for most names differ early, and cheap to move.
	var room [24]uint64
	order := room[:0]
	for i := range t.count {
		order = append(order, sortKey(t.property(i).Name)|uint64(i))
	}
	compare := func(a, b uint64) int {
		if (a^b)>>placeBits != 0 {
			return cmp.Compare(a, b)
		}
		x, y := t.property(place(a)), t.property(place(b))
		c := cmp.Or(strings.Compare(x.Name, y.Name), cmp.Compare(t.depth(place(a)), t.depth(place(b))), strings.Compare(x.Value, y.Value))
		if c == 0 && x.Literal != y.Literal { // or the import line would be one or the other
			c = 1
			if x.Literal {
				c = -1
			}
		}
		return c
	}
	if len(order) > len(room) {
		slices.SortFunc(order, compare)
	} else { // few enough to be sorted by insertion
		for i := 1; i < len(order); i++ {
			e, j := order[i], i
			for ; j > 0; j-- {
				before := order[j-1]
				if tie := (e^before)>>placeBits == 0; !tie && e > before || tie && compare(e, before) >= 0 {
					break
				}
				order[j] = before
			}
			order[j] = e
		}
	}
	var properties []Property
	kept := 0 // the place of the last of them
	for _, e := range order {
		i, last := place(e), len(properties)-1
		p := t.property(i)
		switch {
		case reserved(p.Name):
		case last >= 0 && p.Name == properties[last].Name:
			if t.depth(i) == t.depth(kept) && p.Value != properties[last].Value {
				t.add("property", indistinct(p.Name, p.Name))
			}
		default:
			if blank(p.Name) || tooManyChars(p.Name) {
				validateName(&t.problems, p.Name)
			}
			if properties == nil {
				properties = make([]Property, 0, t.count)
			}
			properties = properties[:last+2]
			q := &properties[last+1] // by field, for the processor is slow to load what was just stored in parts
			q.Name, q.Value, q.Literal = p.Name, p.Value, p.Literal
			kept = i
		}
	}
	validateDistinct(&t.problems, properties)
	t.count, t.more, t.depths, t.lists = 0, nil, nil, nil
	return properties
}

// placeBits is more than enough for the place of one of maxValues.
const placeBits = 24

func place(key uint64) int { return int(key & (1<<placeBits - 1)) }

// sortKey returns the first bytes of a name as a number that sorts as they do,
// with room below for a place.
func sortKey(name string) (key uint64) {
	if len(name) >= 5 {
		return uint64(name[4])<<24 | uint64(name[3])<<32 | uint64(name[2])<<40 | uint64(name[1])<<48 | uint64(name[0])<<56
	}
	for i := range len(name) {
		key |= uint64(name[i]) << (56 - 8*i)
	}
	return key
}
