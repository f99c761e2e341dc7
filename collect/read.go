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
	room    []kissmetrics.Property // for those of its records, which are sent before the next is read
}

// Wire is how Transform gets at the message.
func (m *readMessage) Wire() (*wire.Message, []kissmetrics.Property) { return &m.message, m.room }

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
