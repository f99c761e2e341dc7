package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/kissmetrics-go/kissmetrics"
)

// relay delivers what a topic holds, and commits an offset only when everything
// before it is delivered, or can never be. The client is that of newClient. It
// returns why it ended: ctx did, the client was closed, or Kafka failed.
func relay(ctx context.Context, client *kgo.Client, sender kissmetrics.Sender, lost func(*kgo.Record, error)) error {
	for {
		fetches := client.PollRecords(ctx, 500)
		err := fetches.Err()
		for records := fetches.RecordIter(); err == nil && !records.Done(); {
			record := records.Next()
			if never := deliver(ctx, record, sender); ctx.Err() != nil {
				return ctx.Err() // and commit nothing of this poll
			} else if never != nil {
				lost(record, never)
			}
		}
		if err == nil {
			err = client.CommitUncommittedOffsets(ctx)
		}
		if client.AllowRebalance(); err != nil {
			return err
		}
	}
}

// deliver tries until one message is delivered, can never be, or ctx ends.
func deliver(ctx context.Context, record *kgo.Record, sender kissmetrics.Sender) error {
	message, err := kissmetrics.ParseMessage(record.Value)
	if err != nil {
		return err
	}
	// A message without a time has its record's, so that a repeat has it too.
	records, _, err := kissmetrics.Transform(message, record.Timestamp, kissmetrics.TransformOptions{})
	for err == nil {
		err = sender.Send(ctx, records)
		delivery, failed := errors.AsType[*kissmetrics.DeliveryError](err)
		_, invalid := errors.AsType[*kissmetrics.ValidationError](err)
		if err == nil || invalid || failed && !delivery.Retryable() {
			return err
		}
		select {
		case <-time.After(time.Second):
			err = nil
		case <-ctx.Done():
		}
	}
	return err
}
