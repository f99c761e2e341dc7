package main

import (
	"context"
	"fmt"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
)

// open has the shop open for a day, yesterday: every minute somebody signs up, looks at
// a page, and buys something.
func open(ctx context.Context, client *kissmetrics.Client, speed float64) error {
	midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	begin := time.Now()
	for minute := range 24 * 60 {
		since := time.Duration(minute) * time.Minute
		if err := sleep(ctx, time.Until(begin.Add(time.Duration(float64(since)/speed)))); err != nil {
			return err
		}
		if err := visit(ctx, client, minute, midnight.Add(since)); err != nil {
			return err
		}
	}
	return nil
}

// visit is what a visitor does.
func visit(ctx context.Context, client *kissmetrics.Client, n int, at time.Time) error {
	visitor, user := fmt.Sprintf("visitor-%d", n), fmt.Sprintf("user-%d", n)
	if err := client.Page(ctx, kissmetrics.Page{AnonymousID: visitor, Name: "Home", Timestamp: at}); err != nil {
		return err
	}
	if err := client.Alias(ctx, kissmetrics.Alias{PreviousID: visitor, UserID: user}); err != nil {
		return err
	}
	if err := client.Identify(ctx, kissmetrics.Identify{UserID: user, Traits: kissmetrics.Properties{"plan": "free"}, Timestamp: at.Add(10 * time.Second)}); err != nil {
		return err
	}
	return client.Track(ctx, kissmetrics.Track{
		UserID: user, Event: "Order Completed", Timestamp: at.Add(30 * time.Second),
		Properties: kissmetrics.Properties{"order_id": n, "revenue": 10 + n%7, "currency": "EUR"},
	})
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
