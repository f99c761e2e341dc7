package kissmetrics_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestSettleSaysWhatAnErrorMeansForEachRecord(t *testing.T) {
	records := []kissmetrics.Record{event("a")[0], event("b")[0], event("c")[0]}
	a, b, c := records[:1], records[1:2], records[2:]
	secret := errors.New("s3cret")
	tests := map[string]struct {
		err                             error
		delivered, refused, undelivered []kissmetrics.Record
		kind                            kissmetrics.FailureKind
		retryAfter                      time.Duration
		throttled, overloaded           bool
		reason                          string
	}{
		"nil delivers": {delivered: records},
		"a delivery error that lists all": {
			err: &kissmetrics.DeliveryError{
				Kind: kissmetrics.FailureUnavailable, Reason: "503", Attempts: 2, RetryAfter: time.Second, Delivered: a, Refused: b, Undelivered: c,
			},
			delivered: a, refused: b, undelivered: c, kind: kissmetrics.FailureUnavailable, retryAfter: time.Second,
			reason: "kissmetrics: delivery unavailable: 503 (2 attempts; 1 of 3 records delivered)",
		},
		"one that lists none may pass": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Err: errors.New("disk full")},
			undelivered: records, kind: kissmetrics.FailureUnavailable, reason: "kissmetrics: delivery unavailable: disk full (0 attempts; 0 of 0 records delivered)",
		},
		"one that lists none and was refused": {
			err:     &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Reason: "403", Attempts: 1},
			refused: records, kind: kissmetrics.FailureRefused, reason: "kissmetrics: delivery refused: 403 (1 attempt; 0 of 0 records delivered)",
		},
		"too many at a time": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 429, Reason: "429"},
			undelivered: records, kind: kissmetrics.FailureUnavailable, throttled: true, reason: "kissmetrics: delivery unavailable: 429 (0 attempts; 0 of 0 records delivered)",
		},
		"too much to do": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 503, RetryAfter: time.Second, Reason: "503"},
			undelivered: records, kind: kissmetrics.FailureUnavailable, retryAfter: time.Second, overloaded: true, reason: "kissmetrics: delivery unavailable: 503 (0 attempts; 0 of 0 records delivered)",
		},
		"503 without a wait may be anything": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, StatusCode: 503, Reason: "503"},
			undelivered: records, kind: kissmetrics.FailureUnavailable, reason: "kissmetrics: delivery unavailable: 503 (0 attempts; 0 of 0 records delivered)",
		},
		"a wait is bounded": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: time.Hour, Reason: "x"},
			undelivered: records, kind: kissmetrics.FailureUnavailable, retryAfter: 5 * time.Minute, reason: "kissmetrics: delivery unavailable: x (0 attempts; 0 of 0 records delivered)",
		},
		"an invalid record is refused": {
			err:     fmt.Errorf("s3cret: %w", &kissmetrics.ValidationError{Field: "event", Reason: "is missing"}),
			refused: records, reason: "kissmetrics: invalid event: is missing",
		},
		"several joined are all told": {
			err:     errors.Join(&kissmetrics.ValidationError{Field: "event", Reason: "is missing"}, &kissmetrics.ValidationError{Field: "identity", Reason: "is missing"}),
			refused: records, reason: "kissmetrics: invalid event: is missing; kissmetrics: invalid identity: is missing",
		},
		"a failed delivery may pass whatever its cause is": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Err: &kissmetrics.ValidationError{Field: "event", Reason: "is missing"}, Reason: "503"},
			undelivered: records, kind: kissmetrics.FailureUnavailable, reason: "kissmetrics: delivery unavailable: 503 (0 attempts; 0 of 0 records delivered)",
		},
		"one that lists others as undelivered": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Reason: "503", Delivered: records[:2], Undelivered: event("d")},
			undelivered: records, kind: kissmetrics.FailureUnavailable, reason: "kissmetrics: delivery unavailable: 503 (0 attempts; 2 of 3 records delivered)",
		},
		"one that lists the same twice as undelivered": {
			err:         &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, Reason: "503", Delivered: a, Undelivered: []kissmetrics.Record{c[0], c[0]}},
			undelivered: records, kind: kissmetrics.FailureUnavailable, reason: "kissmetrics: delivery unavailable: 503 (0 attempts; 1 of 3 records delivered)",
		},
		"a full queue may pass":         {err: kissmetrics.ErrQueueFull, undelivered: records, reason: "kissmetrics: the queue is full"},
		"a closed sender may be opened": {err: fmt.Errorf("%w: %w", kissmetrics.ErrClosed, secret), undelivered: records, reason: "kissmetrics: closed; an error of type *errors.errorString"},
		"a context may pass":            {err: context.DeadlineExceeded, undelivered: records, reason: "context deadline exceeded"},
		"an unknown error's text stays": {err: secret, undelivered: records, reason: "an error of type *errors.errorString"},
		"a nil pointer":                 {err: (*kissmetrics.DeliveryError)(nil), undelivered: records, reason: "an error of type *kissmetrics.DeliveryError"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			outcome := kissmetrics.Settle(records, test.err)
			assert.Equal(t, kissmetrics.Outcome{
				Delivered: test.delivered, Refused: test.refused, Undelivered: test.undelivered,
				Kind: test.kind, RetryAfter: test.retryAfter, Throttled: test.retryAfter > 0 || test.throttled, Overloaded: test.overloaded, Reason: test.reason,
			}, outcome)
		})
	}
}

func TestWhatIsRefusedOnTheWayForADayIsRefusedForGood(t *testing.T) {
	records := []kissmetrics.Record{event("a")[0], event("b")[0], event("c")[0]}
	err := &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Delivered: records[:1], Refused: records[1:2], Undelivered: records[2:]}
	outcome := kissmetrics.Settle(records, err)
	assert.Equal(t, outcome, outcome.Aged(24*time.Hour-1))
	aged := outcome.Aged(24 * time.Hour)
	assert.Equal(t, records[:1], aged.Delivered)
	assert.Equal(t, records[1:], aged.Refused)
	assert.Empty(t, aged.Undelivered)

	err.Kind = kissmetrics.FailureUnavailable
	outcome = kissmetrics.Settle(records, err)
	assert.Equal(t, outcome, outcome.Aged(1000*time.Hour), "an outage lasts as long as it lasts")
}

func TestRepeatKey(t *testing.T) {
	at := time.Unix(1772452800, 0)
	base := kissmetrics.NewEvent("Bob@x.com", "Signed Up", at, kissmetrics.Text("Plan", "pro"), kissmetrics.Number("seats", 3))
	key := func(records ...kissmetrics.Record) any { return kissmetrics.RepeatKey(records) }

	assert.Equal(t, key(base), key(kissmetrics.NewEvent("bob@X.com", "signed up", at.Add(time.Millisecond),
		kissmetrics.Text("Seats", "3"), kissmetrics.Text("plan", "pro"))), "case, order and what lies below a second say nothing")

	for name, other := range map[string]kissmetrics.Record{
		"person":             kissmetrics.NewEvent("ann@x.com", "Signed Up", at, base.Properties...),
		"name":               kissmetrics.NewEvent("Bob@x.com", "Signed In", at, base.Properties...),
		"second":             kissmetrics.NewEvent("Bob@x.com", "Signed Up", at.Add(time.Second), base.Properties...),
		"value":              kissmetrics.NewEvent("Bob@x.com", "Signed Up", at, kissmetrics.Text("Plan", "Pro"), kissmetrics.Number("seats", 3)),
		"property":           kissmetrics.NewEvent("Bob@x.com", "Signed Up", at, kissmetrics.Text("Plan", "pro")),
		"kind":               kissmetrics.NewProperties("Bob@x.com", at, base.Properties...),
		"texts run together": kissmetrics.NewEvent("Bob@x.comS", "igned Up", at, base.Properties...),
	} {
		assert.NotEqual(t, key(base), key(other), name)
	}
	assert.NotEqual(t, key(base), key(base, base))
	assert.NotEqual(t, kissmetrics.RepeatKey([]kissmetrics.Record{kissmetrics.NewAlias("a", "b", at)}),
		kissmetrics.RepeatKey([]kissmetrics.Record{kissmetrics.NewAlias("b", "a", at)}))
}

func TestConstructorsMakeValidRecords(t *testing.T) {
	at := time.Unix(1772452800, 0)
	given := []kissmetrics.Property{kissmetrics.Text("z", "1"), kissmetrics.Bool("b", true), kissmetrics.Number("a", -1.5), kissmetrics.Number("u", uint8(200))}
	event := kissmetrics.NewEvent("u", "e", at, given...)
	require.NoError(t, event.Validate())
	assert.Equal(t, "z", given[0].Name, "the caller's slice stays in its order")
	line, err := event.MarshalJSON()
	require.NoError(t, err)
	assert.JSONEq(t, `{"_p":"u","_t":1772452800,"_n":"e","a":-1.5,"b":true,"u":200,"z":"1"}`, string(line))

	require.NoError(t, kissmetrics.NewProperties("u", at, given...).Validate())
	require.NoError(t, kissmetrics.NewAlias("a", "u", at).Validate())
	require.NoError(t, kissmetrics.NewAlias("a", "u", time.Time{}).Validate())
}

func TestNumbersAreWrittenPlainly(t *testing.T) {
	type cents int64
	zero := 0.0
	for want, p := range map[string]kissmetrics.Property{
		"-7":                    kissmetrics.Number("n", cents(-7)),
		"18446744073709551615":  kissmetrics.Number("n", ^uint64(0)),
		"0.1":                   kissmetrics.Number("n", float32(0.1)),
		"100000000000000000000": kissmetrics.Number("n", 1e20),
		"0":                     kissmetrics.Number("n", -zero),
	} {
		assert.Equal(t, want, p.Value)
		assert.True(t, p.Literal)
	}
	nan := kissmetrics.NewEvent("u", "e", time.Unix(1772452800, 0), kissmetrics.Number("n", zero/zero))
	require.Error(t, nan.Validate())
}
