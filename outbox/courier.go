package outbox

import (
	"context"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/importline"
	"github.com/kissmetrics-go/kissmetrics/internal/queue"
)

// A courier hands messages to the next sender, for one worker of the relay's queue.
// The payload of a message is its lines, as they are stored, which are read here.
type courier struct {
	r          *relay
	flight     *flight // of the message that was delivered last
	outcome    kissmetrics.Outcome
	unreadable error

	// Memory for what is under way, used again and again if the next sender is known to
	// keep nothing.
	records    []kissmetrics.Record
	properties []kissmetrics.Property
}

func (r *relay) newCourier() queue.Courier {
	c := &courier{r: r}
	if r.frugal {
		c.records, c.properties = make([]kissmetrics.Record, 0, 1), make([]kissmetrics.Property, 0, 16)
	}
	return c
}

// Deliver implements [queue.Courier].
func (c *courier) Deliver(ctx context.Context, m *queue.Message, age time.Duration) queue.Result {
	// Before Report, another worker may have delivered what is left of the message.
	c.flight = c.r.flight(m)
	records, err := readStored(m.Payload(), c.records, c.properties)
	if c.unreadable = err; err != nil {
		return queue.Result{Failed: m.Records()}
	}
	err = c.r.next.Send(ctx, records)
	c.outcome = kissmetrics.Settle(records, err).Aged(age)
	if len(c.outcome.Refused) > 0 { // which are kept until they are parked
		c.properties = make([]kissmetrics.Property, 0, cap(c.properties))
	}
	var rest []byte
	if n := len(c.outcome.Undelivered); n > 0 && n < len(records) {
		var wrong error
		if rest, wrong = appendLines(nil, c.outcome.Undelivered, time.Now()); wrong != nil {
			// They are not those of the message: the next sender is wrong.
			c.outcome.Delivered, c.outcome.Refused = nil, nil
		}
	}
	return queue.Result{
		Delivered:  len(c.outcome.Delivered),
		Failed:     len(c.outcome.Refused),
		Rest:       string(rest),
		Err:        err,
		RetryAfter: c.outcome.RetryAfter,
		Throttled:  c.outcome.Throttled,
		Overloaded: c.outcome.Overloaded,
	}
}

// readStored returns the records that stored lines stand for. They were valid when they
// were stored; that they still are is for the next sender to say, which refuses what is
// not. What there is room for in records and properties, both empty, goes there.
func readStored(lines string, records []kissmetrics.Record, properties []kissmetrics.Property) ([]kissmetrics.Record, error) {
	for line := range strings.Lines(lines) {
		r, left, ok := importline.Written[kissmetrics.Record](line, properties)
		if !ok { // another version wrote it
			if err := r.UnmarshalJSON([]byte(line)); err != nil {
				return nil, err
			}
		}
		records, properties = append(records, r), left
	}
	return records, nil
}

// Report implements [queue.Courier].
func (c *courier) Report(*queue.Message) {
	outcome, f := c.outcome, c.flight
	c.outcome, c.flight = kissmetrics.Outcome{}, nil
	if c.unreadable != nil {
		c.r.unreadable(f, c.unreadable)
		return
	}
	c.r.logRefused(c.r.refused.Add(time.Now(), len(outcome.Refused), outcome.Reason))
	c.r.note(f, outcome)
}

func (r *relay) logRefused(records int, reason string, tell bool) {
	if tell {
		r.o.config.logger.Warn("outbox: records were refused, and are parked", "records", records, "reason", reason)
	}
}

func (r *relay) outage(failures int, err error) {
	r.o.config.logger.Warn("outbox: deliveries fail; the relay holds back", "failures", failures, "reason", kissmetrics.Settle(nil, err).Reason)
}

func (r *relay) recovered(after time.Duration) {
	r.o.config.logger.Info("outbox: deliveries succeed again", "after", after)
}
