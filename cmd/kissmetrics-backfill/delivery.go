package main

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"golang.org/x/time/rate"

	"github.com/kissmetrics-go/kissmetrics"
)

// delivery delivers records through a queue.
type delivery struct {
	http  *kissmetrics.HTTPSender
	queue *kissmetrics.Queue
}

// openDelivery makes the queue. It reports the outcome of every record to result.
func openDelivery(f flags, doer kissmetrics.Doer, logger *slog.Logger, result func(e *entry, records int, refused string)) (*delivery, error) {
	options := []kissmetrics.HTTPOption{
		kissmetrics.WithAPIKey(f.apiKey),
		kissmetrics.WithBaseURL(f.baseURL),
		kissmetrics.WithMaxAttempts(1), // the queue retries
		kissmetrics.WithLogger(logger),
	}
	if doer != nil {
		options = append(options, kissmetrics.WithDoer(doer))
	}
	http, err := kissmetrics.NewHTTPSender(options...)
	if err != nil {
		return nil, err
	}
	queue, err := kissmetrics.NewQueue(limited(http, f.rate),
		kissmetrics.WithWorkers(f.workers),
		kissmetrics.WithFullPolicy(kissmetrics.FullWait),
		kissmetrics.WithLogger(logger),
		kissmetrics.WithCapacity(maxQueued, 16<<20),
		kissmetrics.WithContextValues(entryKey{}),
		kissmetrics.WithOnResult(func(ctx context.Context, _ kissmetrics.Record, err error) {
			e, _ := ctx.Value(entryKey{}).(*entry)
			if !errors.Is(err, kissmetrics.ErrClosed) { // not an outcome: the record is still to be sent
				result(e, 1, reasonOf(err))
			}
		}))
	if err != nil {
		return nil, err
	}
	return &delivery{http, queue}, nil
}

// maxQueued is the most records that wait. A message's records must fit.
const maxQueued = 4096

type entryKey struct{}

func (d *delivery) send(ctx context.Context, e *entry, records []kissmetrics.Record) error {
	return d.queue.Send(context.WithValue(ctx, entryKey{}, e), records)
}

// sync does nothing: what was delivered is durable.
func (d *delivery) sync() (fileMark, error) { return fileMark{}, nil }

// drain waits until everything is delivered.
func (d *delivery) drain(ctx context.Context) error {
	err := d.queue.Close(ctx)
	if _, ok := errors.AsType[*kissmetrics.UndeliveredError](err); ok {
		return nil // the tracker knows that these lines have no outcome
	}
	return err
}

func (d *delivery) finish() error { return nil }

func (d *delivery) close() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.queue.Close(ctx) // after drain, or with an empty queue
	d.http.CloseIdleConnections()
	return nil
}

func (d *delivery) outage() bool { return d.queue.Stats().Outage }

// A limitedSender sends a limited number of records a second.
type limitedSender struct {
	next    kissmetrics.Sender
	limiter *rate.Limiter
}

func limited(next kissmetrics.Sender, perSecond float64) kissmetrics.Sender {
	if perSecond == 0 {
		return next
	}
	return &limitedSender{next, rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond/100)))}
}

func (l *limitedSender) Send(ctx context.Context, records []kissmetrics.Record) error {
	for range records {
		if err := l.limiter.Wait(ctx); err != nil {
			return err
		}
	}
	return l.next.Send(ctx, records)
}

// reasonOf says why a record was refused, in words that hold no secret. It is empty
// if the record was delivered.
func reasonOf(err error) string {
	if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok && failed.StatusCode != 0 {
		return "the server answered " + strconv.Itoa(failed.StatusCode)
	}
	return plain(kissmetrics.Settle(nil, err).Reason)
}
