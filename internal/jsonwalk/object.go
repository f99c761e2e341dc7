package jsonwalk

import "slices"

// An Object is an object as [Reader.Raw] returns it, which is not checked again. A value
// of another kind, or none at all, is as good as an empty one.
type Object []byte

// A Member is a member of an object.
type Member struct {
	Name string
	Kind byte   // as [Reader.Kind] returns it
	Text string // what a text stands for, or a number or word as it is written

	value []byte
}

// Value returns the value of the member; see the function of that name.
func (m *Member) Value() any { return Decode(m.value) }

// IsEmpty reports whether an object has no members.
func (o Object) IsEmpty() bool { return !o.is() || o[1+space(o[1:])] == '}' }

// is reports whether the value is an object.
func (o Object) is() bool { return len(o) > 0 && o[0] == '{' }

// Map returns the members of an object.
func (o Object) Map() map[string]any {
	if !o.is() {
		return nil
	}
	members, _ := Decode(o).(map[string]any)
	return members
}

// Each calls visit with the name and the value of every member, as it is written.
func (o Object) Each(visit func(name, value []byte)) {
	if !o.is() {
		return
	}
	r := Reader{data: o, isChecked: true}
	_ = r.Members(func(name []byte) error {
		value, err := r.Raw()
		visit(name, value)
		return err
	})
}

// Find returns the value of the last member with a name, as it is written, or nil.
func (o Object) Find(name string) (value []byte) {
	o.Each(func(member, v []byte) {
		if string(member) == name {
			value = v
		}
	})
	return value
}

// Members returns the members of an object in their order, the last of several with
// one name. ok is false if there are more than room has place for, or if the object is
// long.
func (o Object) Members(room []Member) (members []Member, ok bool) {
	if !o.is() || len(o) > shared {
		return nil, !o.is()
	}
	members = room[:0]
	d := newDecoder(o)
	for d.begin(); d.data[d.at] != '}'; d.separator() {
		m := d.member()
		members = slices.DeleteFunc(members, func(other Member) bool { return other.Name == m.Name })
		if len(members) == cap(members) {
			return nil, false
		}
		members = append(members, m)
	}
	return members, true
}

// member reads a member.
func (d *decoder) member() Member {
	m := Member{Name: d.string()}
	d.separator()
	begin := d.at
	switch c := d.data[begin]; c {
	case '"':
		m.Kind, m.Text = c, d.string()
	case '{', '[':
		m.Kind = c
		d.at += valueEnd(d.data[begin:])
	case 't', 'f', 'n':
		m.Kind, m.Text = c, d.raw()
	default:
		m.Kind, m.Text = '0', d.raw()
	}
	m.value = d.data[begin:d.at]
	return m
}
