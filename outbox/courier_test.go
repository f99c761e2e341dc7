package outbox

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/queue"
)

// A script is a next sender that says one thing after another, and then takes all.
type script []func(records []kissmetrics.Record) error

func (s *script) Send(_ context.Context, records []kissmetrics.Record) error {
	if len(*s) == 0 {
		return nil
	}
	say := (*s)[0]
	*s = (*s)[1:]
	return say(records)
}

// A message that was put back may be delivered by another worker before the first has
// reported. It lands once, whoever reports when.
func TestAReportThatComesLate(t *testing.T) {
	fails := func([]kissmetrics.Record) error { return errors.New("it fails") }
	part := func(records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records[:1], Undelivered: records[1:]}
	}
	refusesPart := func(records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Refused: records[:1], Undelivered: records[1:]}
	}
	for name, next := range map[string]script{
		"after nothing was delivered": {fails},
		"after a part was delivered":  {part},
		"after a part was refused":    {refusesPart},
	} {
		for _, order := range []string{"late", "in time"} {
			t.Run(name+", "+order, func(t *testing.T) {
				next := append(script(nil), next...)
				r := &relay{o: &Outbox{config: defaults()}, next: &next, flights: map[*queue.Message]*flight{}, flying: 1, changed: make(chan struct{}, 1)}
				m := queue.NewMessage(lineOfEvent+lineOfAlias, 2, nil)
				r.flights[m] = &flight{message: m, records: 2}
				first, second := r.newCourier(), r.newCourier()
				result := first.Deliver(t.Context(), m, 0)
				require.Error(t, result.Err)
				if order == "in time" {
					first.Report(m)
				}
				rest := m // the engine gives what is left the same identity
				if result.Rest != "" {
					rest = queue.NewMessage(result.Rest, 1, nil)
					r.flights[rest] = r.flights[m]
				}
				require.NoError(t, second.Deliver(t.Context(), rest, 0).Err)
				second.Report(rest)
				if order == "late" {
					first.Report(m)
				}
				require.Len(t, r.landed, 1)
				assert.Equal(t, 2, r.landed[0].delivered+len(r.landed[0].refused))
			})
		}
	}
}

// What was refused is kept until it is parked, while its courier delivers others.
func TestWhatIsRefusedStaysAsItIs(t *testing.T) {
	refuses := func(records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Refused: records}
	}
	r := &relay{o: &Outbox{config: defaults()}, next: &script{refuses}, frugal: true, flights: map[*queue.Message]*flight{}, flying: 2, changed: make(chan struct{}, 1)}
	c := r.newCourier()
	for _, value := range []string{"refused", "delivered"} {
		line, err := kissmetrics.NewEvent("p", "e", time.Unix(1_700_000_000, 0), kissmetrics.Text("what", value)).MarshalJSON()
		require.NoError(t, err)
		m := queue.NewMessage(string(line)+"\n", 1, nil)
		r.flights[m] = &flight{message: m, records: 1}
		c.Deliver(t.Context(), m, 0)
		c.Report(m)
	}
	require.Len(t, r.landed, 2)
	assert.Equal(t, []kissmetrics.Property{kissmetrics.Text("what", "refused")}, r.landed[0].refused[0].Properties)
}
