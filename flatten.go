package kissmetrics

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
)

// settle returns the properties that were found since it was called last.
func (t *transformer) settle() []Property {
	begin := len(t.room)
	t.room = flatten.Settle(&t.found, t.room)
	if begin == len(t.room) {
		return nil
	}
	return slices.Clip(t.room[begin:])
}

// adjust tells of an adjustment. In strict mode it is a problem, unless there is
// no reason to refuse the message for it.
func (t *transformer) adjust(a Adjustment, reason string) {
	switch {
	case !t.options.Strict || reason == "":
		t.adjustments = append(t.adjustments, a)
	case a.Field == "property":
		t.add(a.Field, quoted(a.Property)+" "+reason)
	default:
		t.add(a.Field, reason)
	}
}

// adjusted returns all adjustments in a fixed order, each once.
func (t *transformer) adjusted() []Adjustment {
	slices.SortFunc(t.adjustments, func(a, b Adjustment) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Property, b.Property), cmp.Compare(a.Kind, b.Kind))
	})
	return slices.Compact(t.adjustments)
}

// tellNotes tells what of the properties could not be sent as it was given.
func (t *transformer) tellNotes() {
	for _, note := range t.found.Notes() {
		kind, reason := adjustmentOf(note)
		t.adjust(Adjustment{Field: "property", Property: note.Name, Kind: kind}, reason)
	}
}

// adjustmentOf returns the kind of adjustment that a note stands for, and why
// strict mode refuses the message, if it does.
func adjustmentOf(note flatten.Note) (kind AdjustmentKind, reason string) {
	switch note.Kind {
	case flatten.ValueCut:
		return AdjustedValueCut, note.Reason
	case flatten.NameCut:
		return AdjustedNameCut, note.Reason
	case flatten.NameDropped:
		return AdjustedNameDropped, note.Reason
	case flatten.Reserved:
		return AdjustedReserved, ""
	case flatten.Hidden:
		return AdjustedClash, ""
	case flatten.Clash:
		return AdjustedClash, "and " + quoted(note.Other) + " are the same name to Kissmetrics, with different values"
	case flatten.TooDeep:
		return AdjustedDepth, note.Reason
	case flatten.TooMany:
		return AdjustedCount, note.Reason
	default:
		return AdjustedValueDropped, note.Reason
	}
}

const (
	revenueName   = "revenue"
	billingAmount = "Billing Amount" // what the revenue reports read
)

// bill makes revenue a plain number, and says it as Billing Amount too if that is
// not given. Revenue that is not clearly an amount is told, or it would be missing
// from the reports in silence.
func (t *transformer) bill() {
	revenue := t.found.Find(revenueName)
	amount, ok := amountOf(revenue)
	if ok {
		revenue.Value, revenue.Class = amount, flatten.Number
	}
	billed := t.billed()
	switch {
	case billed != nil && !name.Blank(billed.Value):
	case !ok:
		if revenue != nil && !name.Blank(revenue.Value) || revenue == nil && t.hasMembers(revenueName) {
			t.adjust(Adjustment{Field: "property", Property: revenueName, Kind: AdjustedAmount}, "")
		}
	case billed != nil:
		billed.Value, billed.Class = amount, flatten.Number
	default:
		t.found.Add(billingAmount, amount, flatten.Number)
	}
}

// billed returns the Billing Amount that is given, in any case, or nil. Of several
// it is the one that stays.
func (t *transformer) billed() (billed *flatten.Pair) {
	for i := range t.found.Len() {
		p := t.found.At(i)
		isBilled := len(p.Name) >= len(billingAmount) && name.Same(p.Name, billingAmount)
		if isBilled && (billed == nil || p.Name < billed.Name) {
			billed = p
		}
	}
	return billed
}

// hasMembers reports whether an object was found under a name.
func (t *transformer) hasMembers(object string) bool {
	for i := range t.found.Len() {
		p := t.found.At(i)
		if rest, ok := strings.CutPrefix(p.Name, object); ok && strings.HasPrefix(rest, ".") && p.IsNested() {
			return true
		}
	}
	return false
}

// amountOf returns the amount of money that a property is. A number is one as it
// stands; a text may be in doubt.
func amountOf(p *flatten.Pair) (amount string, ok bool) {
	switch {
	case p == nil:
		return "", false
	case p.Class == flatten.Number:
		return p.Value, true
	case p.Class == flatten.Text:
		return decimal.Amount(p.Value)
	}
	return "", false
}

// totalAsRevenue takes an order's total for its revenue, if it has none.
func (t *transformer) totalAsRevenue() {
	revenue, total := t.found.Find(revenueName), t.found.Find("total")
	if total == nil || revenue != nil && !name.Blank(revenue.Value) {
		return
	}
	amount, ok := amountOf(total)
	switch {
	case !ok:
		t.adjust(Adjustment{Field: "property", Property: "total", Kind: AdjustedAmount}, "")
	case revenue != nil:
		revenue.Value, revenue.Class = amount, flatten.Number
	default:
		t.found.Add(revenueName, amount, flatten.Number)
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
	if style == PrefixNone {
		return
	}
	for i := range t.found.Len() {
		switch p := t.found.At(i); {
		case name.Same(p.Name, billingAmount):
		case style == PrefixHyphen && p.Name != revenueName:
			t.found.Prefix(p, event, "-")
		default:
			t.found.Prefix(p, event, " - ")
		}
	}
}
