package collect_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// A sender fails as its function says, and hands on to a recorder.
type sender struct {
	next kissmetrics.Sender
	fail func(records []kissmetrics.Record) error
}

func (s *sender) Send(ctx context.Context, records []kissmetrics.Record) error {
	if s.fail != nil {
		if err := s.fail(records); err != nil {
			return err
		}
	}
	return s.next.Send(ctx, records)
}

// failing returns a receiver whose sender fails as told.
func failing(t *testing.T, options ...collect.Option) (*receiver, *sender) {
	r := &receiver{}
	s := &sender{next: &r.recorder}
	return r.with(t, s, options...), s
}

// event returns a message with a messageId, and a time.
func event(name string) string {
	return `{"type":"track","messageId":"id-` + name + `","userId":"u","event":"` + name + `",` + at + `}`
}

// bare returns a message with neither.
func bare(name string) string { return `{"type":"track","userId":"u","event":"` + name + `"}` }

func batch(messages ...string) string { return `{"batch":[` + strings.Join(messages, ",") + `]}` }

// failOn fails for records of events with the given names.
func failOn(err error, names ...string) func([]kissmetrics.Record) error {
	return func(records []kissmetrics.Record) error {
		for _, record := range records {
			if slices.Contains(names, record.Name) {
				return err
			}
		}
		return nil
	}
}

func TestStatusOfWhatTheSenderDidNotTake(t *testing.T) {
	unavailable := &kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: 90*time.Second + 1}
	for name, test := range map[string]struct {
		err        error
		status     int
		retryAfter string
		outcome    collect.Outcome
	}{
		"the queue is full":         {kissmetrics.ErrQueueFull, 429, "10", collect.Deferred},
		"and the client gave up":    {fmt.Errorf("%w: %w", kissmetrics.ErrQueueFull, context.Canceled), 429, "10", collect.Deferred},
		"closed":                    {kissmetrics.ErrClosed, 503, "1", collect.Deferred},
		"Kissmetrics is away":       {unavailable, 503, "91", collect.Deferred},
		"and for a day":             {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable, RetryAfter: 24 * time.Hour}, 503, "300", collect.Deferred},
		"the context ended":         {context.Canceled, 503, "1", collect.Deferred},
		"an error of another's own": {errors.New("disk full at s3cret-path"), 503, "1", collect.Deferred},
		"refused by the server":     {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: 403}, 400, "", collect.Refused},
		"partly refused, the rest not delivered": {&kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused,
			Undelivered: make([]kissmetrics.Record, 1)}, 503, "1", collect.Deferred},
		"refused by the sender": {fmt.Errorf("s3cret: %w", &kissmetrics.ValidationError{Field: "event", Reason: "is not to my liking"}), 400, "", collect.Refused},
	} {
		t.Run(name, func(t *testing.T) {
			for path, body := range map[string]string{"/v1/track": event("E"), "/v1/batch": batch(event("E")), "/v1/import": batch(event("E"))} {
				r, s := failing(t)
				s.fail = failOn(test.err, "E")
				a := r.do(t, path, body)
				want := test.status
				if test.outcome == collect.Refused && path != "/v1/track" {
					want = http.StatusOK // of a batch, it says so in its body
				}
				assert.Equal(t, want, a.status, a.text)
				assert.Equal(t, test.outcome == collect.Refused, a.body.Code == "invalid_message" || a.body.Code == "invalid_messages")
				assert.Equal(t, test.retryAfter, a.header.Get("Retry-After"))
				assert.NotContains(t, a.text, "s3cret")
				assert.Equal(t, []collect.Outcome{test.outcome}, r.outcomes())

				s.fail = nil
				a = r.do(t, path, body)
				assert.Equal(t, http.StatusOK, a.status, "what was not accepted is not remembered")
				assert.Equal(t, []string{"E"}, r.names())
			}
		})
	}
}

func TestRepeatOfABatchThatWasPartlyAccepted(t *testing.T) {
	r, s := failing(t)
	s.fail = failOn(&kissmetrics.DeliveryError{Kind: kissmetrics.FailureUnavailable}, "B")
	body := batch(event("A"), `{"type":"track"}`, event("B"), event("C"), bare("D"), bare("F"))
	a := r.do(t, "/v1/batch", body)
	assert.Equal(t, http.StatusServiceUnavailable, a.status)
	assert.Equal(t, 1, a.body.Accepted)
	assert.Equal(t, 1, a.body.Rejected)
	assert.Equal(t, 4, a.body.Deferred)
	assert.Equal(t, []string{"A"}, r.names(), "what is behind would only meet the same, and what could not be known again is not sent")
	r.outcomes()

	s.fail = nil
	a = r.do(t, "/v1/batch", body)
	assert.Equal(t, http.StatusOK, a.status)
	assert.Equal(t, 5, a.body.Accepted)
	assert.Equal(t, []string{"A", "B", "C", "D", "F"}, r.names())
	assert.Equal(t, []collect.Outcome{collect.Repeated, collect.Refused, collect.Accepted, collect.Accepted, collect.Accepted, collect.Accepted}, r.outcomes())
}

func TestMessageForWhichThereIsNeverRoomDoesNotKeepOthersOut(t *testing.T) {
	r, s := failing(t)
	s.fail = failOn(kissmetrics.ErrQueueFull, "huge")
	body := batch(event("A"), event("huge"), bare("C"), event("B"))
	for range 3 {
		a := r.do(t, "/v1/batch", body)
		assert.Equal(t, http.StatusTooManyRequests, a.status)
		assert.Equal(t, 2, a.body.Deferred, "and what could not be known again is not sent before a repeat")
	}
	assert.Equal(t, []string{"A", "B"}, r.names())
}

func TestMessagesOfWhichARepeatCannotBeKnownAreTakenTogether(t *testing.T) {
	r, s := failing(t)
	var calls [][]kissmetrics.Record
	s.fail = func(records []kissmetrics.Record) error {
		calls = append(calls, records)
		return failOn(kissmetrics.ErrQueueFull, "C")(records)
	}
	body := batch(bare("A"), event("B"), bare("C"))
	assert.Equal(t, http.StatusTooManyRequests, r.do(t, "/v1/batch", body).status)
	assert.Equal(t, []string{"B"}, r.names())
	require.Len(t, calls, 2)
	assert.Len(t, calls[1], 2, "in one call, last")
	s.fail = nil
	assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", body).status)
	assert.Equal(t, []string{"B", "A", "C"}, r.names())
	assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(bare("A"))).status)
	assert.Len(t, r.names(), 4, "the same happened again, for all that is known")
}

// A message with a messageId and without a time is known again here, but not at
// another instance: there it would happen another time.
func TestMessagesWithoutATimeAreTakenTogetherToo(t *testing.T) {
	const untimed = `{"type":"track","messageId":"1","userId":"u","event":"A"}`
	const zero = `{"type":"track","messageId":"2","userId":"u","event":"B","timestamp":"0001-01-01T00:00:00Z"}`
	body := batch(untimed, event("C"), zero, untimed, bare("D"))
	r, s := failing(t)
	s.fail = failOn(kissmetrics.ErrQueueFull, "C")
	assert.Equal(t, http.StatusTooManyRequests, r.do(t, "/v1/batch", body).status)
	assert.Empty(t, r.names(), "a repeat is to come, maybe to another instance")
	s.fail = failOn(kissmetrics.ErrClosed, "D")
	assert.Equal(t, http.StatusServiceUnavailable, r.do(t, "/v1/batch", body).status)
	assert.Equal(t, []string{"C"}, r.names())
	s.fail = nil
	a := r.do(t, "/v1/batch", body)
	assert.Equal(t, `{"success":true}`, a.text)
	assert.Equal(t, []string{"C", "A", "B", "D"}, r.names())
	assert.Equal(t, `{"success":true}`, r.do(t, "/v1/batch", batch(untimed, zero)).text)
	assert.Len(t, r.names(), 4, "it is remembered")

	t.Run("while the first is under way", func(t *testing.T) {
		r, s := failing(t)
		arrived, goOn := make(chan struct{}), make(chan struct{})
		s.fail = func([]kissmetrics.Record) error { close(arrived); <-goOn; return nil }
		first := make(chan answer)
		go func() { first <- r.do(t, "/v1/batch", batch(untimed)) }()
		<-arrived
		s.fail = nil
		assert.Equal(t, http.StatusServiceUnavailable, r.do(t, "/v1/batch", batch(zero, untimed)).status)
		assert.Empty(t, r.names())
		close(goOn)
		assert.Equal(t, http.StatusOK, (<-first).status)
		assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(zero, untimed)).status)
		assert.Equal(t, []string{"A", "B"}, r.names())
	})
}

func TestWhatIsTakenForARepeat(t *testing.T) {
	first := `{"type":"track","messageId":"m","userId":"u","event":"E","properties":{"p":1},"sentAt":"2026-03-02T09:40:01Z",` + at + `}`
	identify := `{"type":"identify","messageId":"m","userId":"u","traits":{"p":1},` + at + `}`
	with := func(old, replacement string) [2]string {
		return [2]string{first, strings.Replace(first, old, replacement, 1)}
	}
	for name, test := range map[string]struct {
		messages [2]string
		repeat   bool
	}{
		"the very same":                     {[2]string{first, first}, true},
		"sent at another time":              {with("09:40:01", "09:45:01"), true},
		"of another time":                   {with(":00.358Z", ":41.358Z"), true}, // callers use the messageId so that nothing counts twice
		"without a time":                    {with(at, `"channel":"web"`), true},
		"with what Kissmetrics never hears": {with(`"userId"`, `"channel":"web","anonymousId":"a","name":"x","userId"`), true},
		"a person in another case":          {with(`"u"`, `"U"`), true}, // one to Kissmetrics
		"another messageId":                 {with(`"m"`, `"n"`), false},
		"the same number for one":           {[2]string{strings.Replace(first, `"m"`, `17`, 1), strings.Replace(strings.Replace(first, `"m"`, `17`, 1), ":00.358Z", ":41.358Z", 1)}, true},
		"another number":                    {[2]string{strings.Replace(first, `"m"`, `17`, 1), strings.Replace(first, `"m"`, `18`, 1)}, false},
		"without its messageId":             {with(`"messageId":"m",`, ``), false},
		"another person":                    {with(`"u"`, `"v"`), false},
		"another event":                     {with(`"E"`, `"F"`), false},
		"another value":                     {with(`{"p":1}`, `{"p":2}`), false},
		"another property":                  {with(`{"p":1}`, `{"q":1}`), false},
		"another type":                      {with(`"track"`, `"page"`), false},
		"another trait":                     {[2]string{identify, strings.Replace(identify, `{"p":1}`, `{"p":2}`, 1)}, false},
		"another previousId": {[2]string{`{"type":"alias","messageId":"m","userId":"u","previousId":"a"}`,
			`{"type":"alias","messageId":"m","userId":"u","previousId":"b"}`}, false},
		"another product": {[2]string{
			`{"type":"track","messageId":"m","userId":"u","event":"E","properties":{"products":[{"sku":"a"},{"sku":"b"}]},` + at + `}`,
			`{"type":"track","messageId":"m","userId":"u","event":"E","properties":{"products":[{"sku":"b"},{"sku":"a"}]},` + at + `}`}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t)
			r.do(t, "/v1/batch", batch(test.messages[0]))
			once := len(r.recorder.Records())
			require.NotZero(t, once)
			a := r.do(t, "/v1/batch", batch(test.messages[1]))
			assert.Equal(t, `{"success":true}`, a.text)
			assert.Equal(t, test.repeat, len(r.recorder.Records()) == once)
			want := map[bool]collect.Outcome{true: collect.Repeated, false: collect.Accepted}[test.repeat]
			assert.Equal(t, []collect.Outcome{collect.Accepted, want}, r.outcomes())
		})
	}
	t.Run("within one batch", func(t *testing.T) {
		r := newReceiver(t)
		a := r.do(t, "/v1/batch", batch(first, first))
		assert.Equal(t, `{"success":true}`, a.text)
		assert.Len(t, r.recorder.Records(), 1)
	})
}

func TestRepeatWhileTheFirstIsUnderWay(t *testing.T) {
	for _, outcome := range []error{nil, errors.New("no")} {
		r, s := failing(t)
		arrived, goOn := make(chan struct{}), make(chan struct{})
		s.fail = func([]kissmetrics.Record) error {
			close(arrived)
			<-goOn
			return outcome
		}
		first := make(chan answer)
		go func() { first <- r.do(t, "/v1/batch", batch(event("A"))) }()
		<-arrived
		a := r.do(t, "/v1/batch", batch(event("A"), event("B")))
		assert.Equal(t, http.StatusServiceUnavailable, a.status)
		assert.Equal(t, "1", a.header.Get("Retry-After"))
		close(goOn)
		assert.Equal(t, map[bool]int{true: 200, false: 503}[outcome == nil], (<-first).status)
		s.fail = nil
		assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(event("A"), event("B"))).status)
		assert.Equal(t, []string{"A", "B"}, r.names())
	}
}

func TestPanics(t *testing.T) {
	r, s := failing(t, collect.WithOnResult(func(context.Context, collect.Result) { panic("of the caller's") }))
	for _, fail := range []func([]kissmetrics.Record) error{
		func([]kissmetrics.Record) error { panic("of the sender's") },
		func([]kissmetrics.Record) error { return (*kissmetrics.DeliveryError)(nil) },
		func([]kissmetrics.Record) error { return (*kissmetrics.ValidationError)(nil) },
	} {
		s.fail = fail
		assert.Equal(t, http.StatusServiceUnavailable, r.do(t, "/v1/batch", batch(event("A"))).status)
	}
	s.fail = nil
	assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(event("A"))).status)
	assert.Equal(t, []string{"A"}, r.names())
}

// The records of a message are made where those of the one before were, unless somebody
// still has them.
func TestErrorsKeepTheirRecords(t *testing.T) {
	var results []collect.Result
	r, s := failing(t, collect.WithOnResult(func(_ context.Context, r collect.Result) { results = append(results, r) }))
	s.fail = func(records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, StatusCode: http.StatusBadRequest, Refused: records}
	}
	valued := func(name string) string {
		return `{"type":"track","messageId":"` + name + `","userId":"u","event":"` + name + `","properties":{"a":"` + name + `"},` + at + `}`
	}
	names := []string{"A", "B", "C"}
	assert.Equal(t, http.StatusOK, r.do(t, "/v1/batch", batch(valued("A"), valued("B"), valued("C"))).status)
	for i, name := range names {
		failure, ok := errors.AsType[*kissmetrics.DeliveryError](results[i].Err)
		require.True(t, ok)
		require.Len(t, failure.Refused, 1)
		assert.Equal(t, name, failure.Refused[0].Name)
		assert.Equal(t, []kissmetrics.Property{kissmetrics.Text("a", name)}, failure.Refused[0].Properties)
	}
}

func TestWhatTheSenderRefusesOfMessagesWithoutATime(t *testing.T) {
	// untimed returns a message with a messageId.
	untimed := func(name string) string {
		return `{"type":"track","messageId":"id-` + name + `","userId":"u","event":"` + name + `"}`
	}
	for name, refuse := range map[string]func(records []kissmetrics.Record) error{
		"by itself": func(records []kissmetrics.Record) error {
			if slices.ContainsFunc(records, func(r kissmetrics.Record) bool { return r.Name == "B" }) {
				return &kissmetrics.ValidationError{Field: "event", Reason: "not here"}
			}
			return nil
		},
		"by its answer": func(records []kissmetrics.Record) error {
			failed := &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused}
			for _, r := range records {
				if r.Name == "B" {
					failed.Refused = append(failed.Refused, r)
				} else {
					failed.Delivered = append(failed.Delivered, r)
				}
			}
			return failed
		},
	} {
		t.Run(name, func(t *testing.T) {
			var results []collect.Result
			r, s := failing(t, collect.WithOnResult(func(_ context.Context, r collect.Result) { results = append(results, r) }))
			s.fail = refuse
			a := r.do(t, "/v1/batch", batch(untimed("A"), untimed("B"), untimed("C"), untimed("A"), untimed("B")))
			assert.Equal(t, http.StatusOK, a.status)
			var got []string
			for _, r := range results {
				got = append(got, fmt.Sprint(r.Index, " ", r.Outcome, " ", r.Records))
			}
			assert.Equal(t, []string{"0 accepted 1", "1 refused 1", "2 accepted 1", "3 repeated 1", "4 refused 1"}, got)
		})
	}
}
