package pack

import "slices"

// A Property is one name and one value, as kissmetrics.Property has them.
type Property interface {
	~struct {
		Name, Value string
		Literal     bool
	}
}

// property is what any Property can be converted to.
type property struct {
	Name, Value string
	Literal     bool
}

// Properties writes properties. None at all are told from an empty list.
func Properties[P Property](w *Writer, properties []P) {
	if properties == nil {
		w.Number(0)
		return
	}
	w.Number(uint64(len(properties)) + 1)
	for i := range properties {
		p := property(properties[i])
		n := uint64(len(p.Name)) << 1 // with the Literal in the lowest bit
		if p.Literal {
			n |= 1
		}
		w.Number(n)
		w.Raw(p.Name)
		w.Text(p.Value)
	}
}

// ReadProperties reads what Properties has written into an empty slice, if there is room
// for it, and returns what room is left.
func ReadProperties[P Property](r *Reader, room []P) (properties, left []P) {
	n := int(r.Number()) - 1 //nolint:gosec // of a slice
	switch {
	case n < 0:
		return nil, room
	case n == 0:
		return []P{}, room
	}
	room = slices.Grow(room, n)
	properties, left = room[:n:n], room[n:n]
	for i := range properties {
		n := r.Number()
		properties[i] = P(property{Name: r.Raw(n >> 1), Literal: n&1 == 1, Value: r.Text()})
	}
	return properties, left
}
