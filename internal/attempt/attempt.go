// Package attempt hands records to a sender, for callers that try again by rules of
// their own.
package attempt

import (
	"context"

	"github.com/kissmetrics-go/kissmetrics"
)

// By returns a sender that hands records to next, which is not nil. A panic of next is an
// error, [kissmetrics.ErrSenderPanicked]. If next is a [kissmetrics.HTTPSender], it tries
// each record once.
func By(next kissmetrics.Sender) kissmetrics.Sender {
	if http, ok := next.(*kissmetrics.HTTPSender); ok {
		next = http.Once()
	}
	return contained{next}
}

// A contained sender does not panic.
type contained struct{ next kissmetrics.Sender }

// Send implements [kissmetrics.Sender].
func (c contained) Send(ctx context.Context, records []kissmetrics.Record) (err error) {
	defer func() {
		if recover() != nil { // the value may hold anything
			err = kissmetrics.ErrSenderPanicked
		}
	}()
	return c.next.Send(ctx, records)
}
