package wire

import (
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/when"
)

// An Instant is a time as it is written and, once it was asked for, as it is read.
type Instant struct {
	Value

	isRead, ok bool
	time       time.Time
}

// Time returns the time that a value means, as in [Message], in UTC. What says nothing
// is the zero time: null, an empty text, and the beginning of the first year, the zero
// time of Go and .NET, in any zone. ok is false for what cannot be read.
func (i *Instant) Time() (t time.Time, ok bool) {
	if !i.isRead {
		i.isRead = true
		i.time, i.ok = i.Value.time()
	}
	return i.time, i.ok
}

func (v Value) time() (t time.Time, ok bool) {
	switch v.kind() {
	case 'n':
		return t, true
	case '"':
		text := jsonwalk.Unquote(v)
		if len(text) == 0 {
			return t, true
		}
		t, ok = when.Text(string(text))
	case '0':
		t, ok = when.Number(string(v))
	}
	if ok && t.Sub(time.Time{}).Abs() <= 24*time.Hour {
		return time.Time{}, true
	}
	return t, ok
}

// time sets the times of the message.
func (m *Message) time(instants ...*Instant) {
	for _, i := range instants {
		switch t, ok := i.Time(); {
		case ok && t.IsZero():
		case ok && t.Year() >= 2009 && m.Time.IsZero():
			m.Time = t
		case m.Time.IsZero():
			m.problem("timestamp", NoTime)
		case ok && t.Year() >= 2009 && t.Before(m.last()):
			m.Earlier = append(m.Earlier, t)
		}
	}
}

// last returns the earliest time so far.
func (m *Message) last() time.Time {
	if n := len(m.Earlier); n > 0 {
		return m.Earlier[n-1]
	}
	return m.Time
}
