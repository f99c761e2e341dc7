package riverbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// What a next sender says of three records may be anything. Nothing is lost by it,
// and it holds up nothing.
func TestANextSenderThatIsWrong(t *testing.T) {
	t.Parallel()
	type records = []kissmetrics.Record
	refused := func(r ...kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, StatusCode: 400, Refused: r}
	}
	tests := []struct {
		name   string
		answer func(r records) error
		parked bool
		more   int // how many of the records it gets another time
	}{
		{"it refuses what is no record", func(records) error { return refused(make(records, 3)...) }, true, 0},
		{"it refuses, and does not say what", func(records) error { return refused() }, true, 0},
		{"it refuses more than there is", func(r records) error { return refused(append(r[:3:3], r...)...) }, true, 0},
		{"it refuses others", func(records) error { return refused(events("others", 3)...) }, true, 0},
		{"its error is in another's", func(r records) error { return fmt.Errorf("s3cret: %w", refused(r...)) }, true, 0},
		{"its error is a nil pointer", func(records) error { return (*kissmetrics.DeliveryError)(nil) }, false, 3},
		{"its error is another nil pointer", func(records) error { return (*kissmetrics.ValidationError)(nil) }, false, 3},
		{"it delivers all but the middle", func(r records) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Delivered: records{r[0], r[2]}, Undelivered: r[1:2]}
		}, false, 3},
		{"it delivers all but the first, and refuses that", func(r records) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Delivered: r[1:], Refused: r[:1]}
		}, true, 0},
		{"it refuses the first, and the rest may pass", func(r records) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Refused: r[:1], Undelivered: r[1:]}
		}, true, 2},
		{"it gives back others", func(records) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Undelivered: events("others", 3)}
		}, false, 3},
		{"it was canceled by itself", func(r records) error {
			return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureCanceled, Undelivered: r}
		}, false, 3},
		{"its error has no kind", func(records) error { return &kissmetrics.DeliveryError{} }, false, 3},
		{"it is closed", func(records) error { return kissmetrics.ErrClosed }, false, 3},
		{"it changes the records", func(r records) error { clear(r); return errors.New("s3cret") }, false, 3},
	}
	b := open(t, newDatabase(t))
	answers := make(map[string]func(records) error)
	var first sync.Map
	var recorder kissmetricstest.Recorder
	for _, test := range tests {
		require.NoError(t, b.Send(t.Context(), events(test.name, 3)))
		answers[test.name] = test.answer
	}
	b.deliver(senderFunc(func(ctx context.Context, r records) error {
		if _, again := first.LoadOrStore(r[0].Person, true); !again {
			return answers[r[0].Person](r)
		}
		return recorder.Send(ctx, r)
	}))
	require.Eventually(t, func() bool {
		return len(b.jobs(rivertype.JobStateCompleted, rivertype.JobStateCancelled)) == len(tests)
	}, patience, 10*time.Millisecond)
	more := make(map[string]int)
	for _, r := range recorder.Records() {
		more[r.Person]++
	}
	parked := make(map[string]bool)
	for _, job := range b.jobs(rivertype.JobStateCancelled) {
		var args riverbox.Args
		require.NoError(t, args.UnmarshalJSON(job.EncodedArgs))
		kept, err := args.Records()
		require.NoError(t, err)
		parked[kept[0].Person] = true
		assert.NotContains(t, job.Errors[0].Error, "s3cret")
	}
	for _, test := range tests {
		assert.Equal(t, test.parked, parked[test.name], "%s: parked", test.name)
		assert.Equal(t, test.more, more[test.name], "%s: records that it gets another time", test.name)
	}
}
