package flatten

import (
	"github.com/kissmetrics-go/kissmetrics/internal/decimal"
	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
)

// JSON is [Flattener.Members] of an object in JSON. It makes no map of a short one.
func (f *Flattener) JSON(o jsonwalk.Object, skip string) (skipped any) {
	var room [32]jsonwalk.Member // for most
	members, ok := o.Members(room[:])
	if !ok {
		return f.Members(o.Map(), skip)
	}
	for i := range members {
		m := &members[i]
		if skip != "" && m.Name == skip {
			skipped = m.Value()
		} else {
			f.jsonMember(f.member("", m.Name, 0), m)
		}
	}
	return skipped
}

// jsonMember flattens a member of the outermost object under the given name.
func (f *Flattener) jsonMember(name string, m *jsonwalk.Member) {
	const depth = 1
	if m.Kind == '{' || m.Kind == '[' {
		f.value(name, m.Value(), depth)
		return
	}
	if !f.enter(name, depth) {
		return
	}
	switch m.Kind {
	case '"':
		f.put(name, m.Text, Text, depth)
	case 't', 'f':
		f.put(name, m.Text, Bool, depth)
	case '0':
		plain, ok := decimal.Plain(m.Text, f.maxDigits())
		if text, class, _ := f.number(name, plain, ok); class != None {
			f.put(name, text, class, depth)
		}
	}
}
