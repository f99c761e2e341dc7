package collect

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// sendTimeout bounds what a sender takes for one message, to within a second.
const sendTimeout = 30 * time.Second

var (
	errUnderWay = errors.New("collect: another request with the same message is under way")
	// errClientLeft is why nothing more of a batch is begun: nobody waits for it, and
	// the client sends it again.
	errClientLeft = errors.New("collect: the client has left")
)

// An Outcome is what became of a message.
type Outcome int

const (
	// Accepted means that the sender took it.
	Accepted Outcome = iota + 1
	// Repeated means that it was accepted before, and not sent again.
	Repeated
	// Ignored means that its integrations exclude Kissmetrics; it was not sent.
	Ignored
	// Refused means that it never will be accepted: Err is a
	// [*kissmetrics.ValidationError] or a [*kissmetrics.DeliveryError].
	Refused
	// Deferred means that the SDK was asked to send it again: Err is the sender's,
	// of this message or of one before it in the batch.
	Deferred
)

// String returns "accepted", "repeated", "ignored", "refused" or "deferred".
func (o Outcome) String() string {
	switch o {
	case Accepted:
		return "accepted"
	case Repeated:
		return "repeated"
	case Ignored:
		return "ignored"
	case Refused:
		return "refused"
	case Deferred:
		return "deferred"
	}
	return fmt.Sprintf("Outcome(%d)", int(o))
}

// A Result says what became of one message.
type Result struct {
	// Index is the place of the message in its batch.
	Index int
	// MessageID and Type are as the message gives them, as far as it could be
	// read. They come from outside, in any length.
	MessageID, Type string
	Outcome         Outcome
	// Source is the name of the [Source] that its write key belongs to, and empty for
	// a key of [WithWriteKeys].
	Source string
	// Records is how many records the message became.
	Records int
	// Adjustments are what of the message was changed so that it could be sent.
	Adjustments []kissmetrics.Adjustment
	// Err is why it was not accepted. Reason says the same, but holds nothing of what
	// the message says, so that it can be logged.
	Err    error
	Reason string
}

// taken is what became of a batch.
type taken struct {
	accepted, refused, deferred int
	failures                    []Result // the first that were refused,
	adjusted                    []Result // and the first that were adjusted
	first                       error    // why the first was refused,
	why                         error    // and why the first was deferred
}

// A taker hands the messages of a batch to the sender.
type taker struct {
	*Handler
	taken

	ctx    context.Context // of the request
	source *Source

	calls  context.Context // of the sender,
	begun  time.Time       // since when
	cancel context.CancelFunc
}

// take hands the messages of a batch to the sender.
func (h *Handler) take(ctx context.Context, b *batch) taken {
	t := taker{Handler: h, ctx: ctx, source: b.source, cancel: func() {}}
	defer func() { t.cancel() }()
	var untimed []loose
	b.read.room = newRoom()
	for i := range b.messages {
		if t.why == nil && ctx.Err() != nil {
			t.why = errClientLeft
		}
		if t.why != nil && !errors.Is(t.why, kissmetrics.ErrQueueFull) {
			// Those behind would only meet the same, and slowly. A queue says no at
			// once, and may have room for others.
			t.settle(&Result{Index: i, Source: b.source.Name}, Deferred, t.why)
			continue
		}
		m, err := h.message(b, &b.messages[i])
		result := Result{Index: i, MessageID: m.id, Type: m.kind, Source: b.source.Name, Records: len(m.records), Adjustments: m.adjustments}
		switch {
		case err != nil:
			t.settle(&result, Refused, err)
		case m.ignored:
			t.settle(&result, Ignored, nil)
		case !m.timed:
			untimed = append(untimed, loose{result, m})
			b.read.room = room{} // is theirs
		case m.identity == identity{}:
			t.settle(&result, 0, t.send(m.records))
		default:
			t.once(&result, &m)
		}
		if result.Err != nil {
			b.read.room = room{} // is the error's: a DeliveryError has the records
		}
	}
	t.takeLoose(untimed)
	return t.taken
}

// once sends a message unless it was accepted before.
func (t *taker) once(result *Result, m *message) {
	state, at := t.memory.begin(m.identity, m.records[0].Time)
	switch state {
	case accepted:
		t.settle(result, Repeated, nil)
	case underWay:
		t.settle(result, Deferred, errUnderWay)
	default:
		err := kissmetrics.ErrSenderPanicked
		defer func() { t.memory.end(m.identity, err == nil) }() // also where the sender ends the goroutine
		m.happened(at)
		err = t.send(m.records)
		t.settle(result, 0, err)
	}
}

// A loose message says not when it happened: a repeat of it that is not
// remembered would be another event.
type loose struct {
	result Result
	message
}

// takeLoose takes the loose messages of a batch, for nothing of them may be accepted
// where a repeat is to come.
func (t *taker) takeLoose(all []loose) {
	if len(all) == 0 {
		return
	}
	begun := map[identity]error{} // and what became of them
	defer func() {
		for id, err := range begun {
			t.memory.end(id, err == nil)
		}
	}()
	var left, twins []*loose // without an outcome
	err := t.why
	for i := range all {
		l := &all[i]
		if _, ok := begun[l.identity]; ok {
			twins = append(twins, l)
			continue
		}
		if err == nil && l.identity != (identity{}) {
			state, at := t.memory.begin(l.identity, l.records[0].Time)
			switch state {
			case accepted:
				t.settle(&l.result, Repeated, nil)
				continue
			case underWay:
				err = errUnderWay
			default:
				begun[l.identity] = kissmetrics.ErrSenderPanicked // or what is known later
				l.happened(at)
			}
		}
		left = append(left, l)
	}
	for i, err := range t.sendLoose(left, err) {
		l := left[i]
		if _, ok := begun[l.identity]; ok {
			begun[l.identity] = err
		}
		t.settle(&l.result, 0, err)
	}
	for _, l := range twins {
		outcome := Repeated
		if begun[l.identity] != nil {
			outcome = 0
		}
		t.settle(&l.result, outcome, begun[l.identity])
	}
}

// sendLoose hands messages to the sender in one call, unless there is an error
// already, and says what became of each. Where that is for good there is no repeat
// to come, so that each can have an outcome of its own.
func (t *taker) sendLoose(all []*loose, err error) []error {
	var records []kissmetrics.Record
	for _, l := range all {
		records = append(records, l.records...)
	}
	if err == nil && len(records) > 0 {
		err = t.send(records)
	}
	errs := slices.Repeat([]error{err}, len(all))
	if err == nil || !isFinal(err) || len(all) == 1 {
		return errs
	}
	delivery, isDelivery := errors.AsType[*kissmetrics.DeliveryError](err)
	var delivered []kissmetrics.Record // yet to be found, in the order of all
	if isDelivery {
		delivered = delivery.Delivered
	}
	for i, l := range all {
		if !isDelivery { // the sender found one that is not valid, and took none
			errs[i] = t.send(l.records)
			continue
		}
		refused := false
		for _, record := range l.records {
			if len(delivered) > 0 && reflect.DeepEqual(record, delivered[0]) {
				delivered = delivered[1:]
			} else {
				refused = true
			}
		}
		if !refused {
			errs[i] = nil
		}
	}
	return errs
}

// send hands records to the sender of their source. What the sender has begun to
// store is carried through, although the client may have given up: what is stored
// and forgotten would count twice when it is sent again.
func (t *taker) send(records []kissmetrics.Record) (err error) {
	const lasts = time.Second // so that quick calls share a context
	if now := time.Now(); t.calls == nil || now.Sub(t.begun) > lasts {
		t.cancel()
		t.begun = now
		t.calls, t.cancel = context.WithTimeout(context.WithoutCancel(t.ctx), sendTimeout)
	}
	defer func() {
		if recover() != nil {
			err = kissmetrics.ErrSenderPanicked
		}
	}()
	if err = t.source.Sender.Send(t.calls, records); err != nil {
		nilness.Examine(err)
	}
	return err
}

// settle counts and reports what became of a message. Where the outcome is zero,
// it is what the sender's error says.
func (t *taker) settle(result *Result, outcome Outcome, err error) {
	if outcome == 0 {
		switch {
		case err == nil:
			outcome = Accepted
		case isFinal(err):
			outcome = Refused
		default:
			outcome = Deferred
		}
	}
	result.Outcome, result.Err = outcome, err
	if err != nil {
		result.Reason = safeText(err)
	}
	if len(result.Adjustments) > 0 && len(t.adjusted) < listedFailures && (outcome == Accepted || outcome == Repeated) {
		t.adjusted = append(t.adjusted, *result)
	}
	switch outcome {
	case Refused:
		if t.refused == 0 {
			t.first = err
		}
		if t.refused++; t.refused <= listedFailures {
			t.failures = append(t.failures, *result)
		}
	case Deferred:
		if t.why == nil || errors.Is(t.why, kissmetrics.ErrQueueFull) {
			t.why = err
		}
		t.deferred++
	default:
		t.accepted++
	}
	t.report(*result)
}

// report calls the caller's function.
func (t *taker) report(result Result) {
	defer func() {
		if recover() != nil {
			t.config.logger.ErrorContext(t.ctx, "collect: the function of WithOnResult panicked")
		}
	}()
	t.config.onResult(t.ctx, result)
}

// safeText returns the text of an error that is known to hold no secrets, and
// the type of any other.
func safeText(err error) string {
	for _, own := range []error{errUnderWay, errClientLeft} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	return kissmetrics.Settle(nil, err).Reason
}

// retryAfter returns how long an SDK is to wait, in seconds.
func retryAfter(err error) int {
	const most = 5 * time.Minute // as this module's own senders heed at most
	wish := kissmetrics.Settle(nil, err).RetryAfter
	if errors.Is(err, kissmetrics.ErrQueueFull) {
		wish = 10 * time.Second // SDKs that count their tries would give up in half a minute
	}
	wish = min(max(wish, time.Second), most)
	return int((wish + time.Second - 1) / time.Second)
}
