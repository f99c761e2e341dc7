package kissmetrics

import (
	"context"
	"sync/atomic"
	"time"
)

// A Client turns messages into records and hands them to a [Sender], which by
// default delivers them before the call returns. It is safe for concurrent use,
// and meant to be made once and shared.
//
// Every method returns nil only when the sender has taken all records of the
// message. Otherwise the error is a [*ValidationError] (or several joined): the
// message is wrong, and nothing of it was sent; a [*DeliveryError]: it says
// which records were not delivered, and calling again with the same message and
// Timestamp repeats nothing; [ErrClosed]; or what a sender of the caller's own
// returns.
type Client struct {
	sender    Sender
	transform TransformOptions
	owned     *HTTPSender // where the client made its sender
	closed    atomic.Bool
}

// New returns a client. It needs [WithAPIKey], or [WithSender], and reports
// every option that is wrong at once, each wrapping [ErrInvalidOption].
func New(options ...Option) (*Client, error) {
	c, err := configure(options, true)
	if err != nil {
		return nil, err
	}
	client := &Client{sender: c.sender, transform: c.transform}
	if client.sender == nil {
		client.owned = newHTTPSender(c)
		client.sender = client.owned
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
	if c.owned != nil {
		return c.owned.send(ctx, records) // Transform has checked them
	}
	return c.sender.Send(ctx, records)
}

// Flush waits until everything that was accepted before it is delivered. A
// client without a queue accepts nothing that it has not delivered, so there is
// nothing to wait for, unless the sender given by [WithSender] has a Flush
// method: then that is called.
func (c *Client) Flush(ctx context.Context) error {
	if sender, ok := c.sender.(interface {
		Flush(ctx context.Context) error
	}); ok {
		return sender.Flush(ctx)
	}
	return nil
}

// Close makes every later call return [ErrClosed], flushes, and lets go of idle
// connections. Calls under way go on and return to their callers as they would
// have. A sender given by [WithSender] is not closed. Closing again is harmless.
func (c *Client) Close(ctx context.Context) error {
	c.closed.Store(true)
	err := c.Flush(ctx)
	if c.owned != nil {
		c.owned.CloseIdleConnections()
	}
	return err
}
