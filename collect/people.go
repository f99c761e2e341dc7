package collect

import "github.com/kissmetrics-go/kissmetrics"

// guardAlias leaves out the alias of an identify where another person was identified
// with the same anonymous identity before: it would make one person of two, for good.
// RudderStack's SDKs for browsers keep the anonymous identity when a visitor logs out
// and another one logs in.
func (h *Handler) guardAlias(source *Source, m *message) error {
	if !source.Transform.AliasOnIdentify || m.kind != "identify" || m.records[0].Kind != kissmetrics.KindAlias {
		return nil
	}
	if h.people.IsFirst(source.Name, m.records[0].Person, m.records[0].Name) {
		return nil
	}
	if source.Transform.Strict {
		return errOthers
	}
	m.records = m.records[1:]
	m.adjustments = append(m.adjustments, kissmetrics.Adjustment{Field: "anonymousId", Kind: kissmetrics.AdjustedAlias})
	return nil
}

var errOthers = &kissmetrics.ValidationError{Field: "anonymousId", Reason: "was another person's before"}
