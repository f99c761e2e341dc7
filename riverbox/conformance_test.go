package riverbox_test

import (
	"testing"

	"github.com/kissmetrics-go/kissmetrics/outboxtest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// TestConformance runs the suite of every durable sender. A database has no limit
// of records.
func TestConformance(t *testing.T) {
	t.Parallel()
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*riverbox.Sender] {
		url := newDatabase(t)
		return outboxtest.Storage[*riverbox.Sender]{
			ErrNotParked: riverbox.ErrNotParked,
			Open:         func(t *testing.T, _ int) *riverbox.Sender { return open(t, url).Sender },
		}
	})
}
