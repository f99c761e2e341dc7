package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kissmetrics-go/kissmetrics"
)

// A relay delivers what a topic holds. Its client is one of newClient's.
type relay struct {
	client   *kgo.Client
	sender   kissmetrics.Sender
	lost     func(*kgo.Record, error)                    // called for what can never be delivered
	adjusted func(*kgo.Record, []kissmetrics.Adjustment) // called for what was changed to be sent
}

// run commits an offset only when everything before it is delivered, excluded or
// lost. It returns when ctx ends, the client is closed or Kafka fails.
func (r *relay) run(ctx context.Context) error {
	for {
		fetches := r.client.PollRecords(ctx, 500)
		err := fetches.Err()
		for records := fetches.RecordIter(); err == nil && !records.Done(); {
			record := records.Next()
			if never := r.deliver(ctx, record); ctx.Err() != nil {
				return ctx.Err() // and commit nothing of this poll
			} else if never != nil {
				r.lost(record, never)
			}
		}
		if err == nil {
			err = r.client.CommitUncommittedOffsets(ctx)
		}
		if r.client.AllowRebalance(); err != nil {
			return err
		}
	}
}

// deliver tries until one message is delivered or ctx ends. It returns an error if
// the message, or a part of it, can never be delivered.
func (r *relay) deliver(ctx context.Context, record *kgo.Record) (never error) {
	if kissmetrics.Excluded(record.Value) {
		return nil
	}
	message, err := kissmetrics.ParseMessage(record.Value)
	if err != nil {
		return err
	}
	// A message without a time gets its record's, which a repeat has too.
	records, adjustments, err := kissmetrics.Transform(message, record.Timestamp, kissmetrics.TransformOptions{})
	if err != nil {
		return err
	}
	if len(adjustments) > 0 {
		r.adjusted(record, adjustments)
	}
	for began := time.Now(); len(records) > 0 && ctx.Err() == nil; {
		outcome := kissmetrics.Settle(records, r.sender.Send(ctx, records)).Aged(time.Since(began))
		if len(outcome.Refused) > 0 {
			never = errors.New(outcome.Reason)
		}
		if records = outcome.Undelivered; len(records) > 0 {
			pause(ctx, max(time.Second, outcome.RetryAfter))
		}
	}
	return never
}

// pause waits, but not beyond ctx.
func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
