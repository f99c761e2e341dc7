package collect

import (
	"errors"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/wire"
)

// A readMessage is what [kissmetrics.ParseMessage] makes of a message, but for its
// maps: Transform takes the properties from the body, which was checked as a whole.
type readMessage struct {
	kissmetrics.Message // is nil; it makes this one

	message wire.Message
	room    room
}

// A room is where the records of a message are made, and then those of the next, unless
// somebody still has them.
type room struct {
	records    []kissmetrics.Record
	properties []kissmetrics.Property
}

// newRoom returns a room that is large enough for most messages.
func newRoom() room {
	return room{make([]kissmetrics.Record, 0, 4), make([]kissmetrics.Property, 0, 32)}
}

// Wire is how Transform gets at the message.
func (m *readMessage) Wire() (*wire.Message, []kissmetrics.Record, []kissmetrics.Property) {
	return &m.message, m.room.records, m.room.properties
}

// isBareIdentify reports whether a message is an identify without traits.
func (m *readMessage) isBareIdentify() bool {
	return m.message.Type == "identify" && len(m.message.Properties) == 0 && m.message.Object.IsEmpty()
}

// refusal returns the error of a message that cannot be read as that of ParseMessage.
func refusal(err error) error {
	if refused, ok := errors.AsType[*wire.Error](err); ok {
		return &kissmetrics.ValidationError{Field: refused.Field, Reason: refused.Reason}
	}
	return err
}
