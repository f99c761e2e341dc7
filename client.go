package kissmetrics

import (
	"context"
	"sync/atomic"
	"time"
)

// A Client turns messages into records and hands them to a [Sender], which by
// default delivers them before the call returns, and [WithQueue] later. It is safe for concurrent use,
// and meant to be made once and shared.
//
// Every method returns nil only when the sender has taken all records of the
// message. Otherwise the error is a [*ValidationError] (or several joined): the
// message is wrong, and nothing of it was sent; a [*DeliveryError]: it says
// which records were not delivered, and calling again with the same message and
// Timestamp repeats nothing; [ErrQueueFull]; [ErrClosed]; or what a sender of the caller's own
// returns.
type Client struct {
	sender    Sender
	deliver   func(context.Context, []Record) error // what sender does with records that are known to be valid
	transform TransformOptions
	owned     *HTTPSender // where the client made its sender
	queue     *Queue      // where there is one
	closed    atomic.Bool
}

// New returns a client. It needs [WithAPIKey], or [WithSender], and reports
// every option that is wrong at once, each wrapping [ErrInvalidOption].
func New(options ...Option) (*Client, error) {
	c, err := configure(options, forClient|forHTTP)
	if err != nil {
		return nil, err
	}
	client := &Client{sender: c.sender, transform: c.transform}
	if client.sender == nil {
		client.owned = newHTTPSender(c)
		client.sender, client.deliver = client.owned, client.owned.send
	} else {
		client.deliver = client.sender.Send
	}
	if c.forQueue != nil {
		client.queue = newQueue(client.sender, *c.forQueue)
		client.sender, client.deliver = client.queue, client.queue.accept
	}
	return client, nil
}

// Identify sends what is known of a person.
func (c *Client) Identify(ctx context.Context, m Identify) error { return c.Send(ctx, m) }

// Page sends that a page was viewed.
func (c *Client) Page(ctx context.Context, m Page) error { return c.Send(ctx, m) }

// Screen sends that a screen of an application was viewed.
func (c *Client) Screen(ctx context.Context, m Screen) error { return c.Send(ctx, m) }

// Track sends an event.
func (c *Client) Track(ctx context.Context, m Track) error { return c.Send(ctx, m) }

// Group sends that a person belongs to a group.
func (c *Client) Group(ctx context.Context, m Group) error { return c.Send(ctx, m) }

// Alias sends that two identities are one person.
func (c *Client) Alias(ctx context.Context, m Alias) error { return c.Send(ctx, m) }

// Send sends a message of any kind, such as one from [ParseMessage]. A message
// without a timestamp happens now.
func (c *Client) Send(ctx context.Context, message Message) error {
	if c.closed.Load() {
		return ErrClosed
	}
	options := c.transform
	options.Now = time.Now()
	records, err := Transform(message, options)
	if err != nil {
		return err
	}
	return c.deliver(orBackground(ctx), records)
}

// Flush waits until everything that was accepted before it has got its outcome;
// see [Queue.Flush]. A client without a queue accepts nothing that it has not
// delivered, so there is nothing to wait for, unless the sender given by
// [WithSender] has a Flush method: then that is called.
func (c *Client) Flush(ctx context.Context) error { return flush(orBackground(ctx), c.sender) }

// Close makes every later call return [ErrClosed]. With a queue it then delivers
// what is left, as [Queue.Close] says; without one it flushes, while calls under
// way go on and return to their callers as they would have. At last it lets go
// of idle connections. A sender given by [WithSender] is not closed. Closing
// again is harmless.
func (c *Client) Close(ctx context.Context) error {
	c.closed.Store(true)
	var err error
	if c.queue != nil {
		err = c.queue.Close(ctx)
	} else {
		err = c.Flush(ctx)
	}
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
	return err
}

// Stats returns the counts of the client's queue, which are all zero where it
// has none.
func (c *Client) Stats() Stats {
	if c.queue == nil {
		return Stats{}
	}
	return c.queue.Stats()
}
