package kissmetrics

import (
	"context"
	"hash/maphash"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/name"
	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
	"github.com/kissmetrics-go/kissmetrics/internal/people"
	"github.com/kissmetrics-go/kissmetrics/internal/seconds"
	"github.com/kissmetrics-go/kissmetrics/internal/tally"
)

// A Client turns messages into records and hands them to a [Sender]: to one that
// delivers them before the call returns, or with [WithQueue] to a queue that
// delivers them later. It is safe for concurrent use, and meant to be made once
// and shared.
//
// Every method returns nil only when the sender has taken all records of the
// message. Otherwise the error is one of these:
//
//   - a [*ValidationError], or several joined: the message is wrong, and nothing
//     of it was sent;
//   - a [*DeliveryError]: it says which records were not delivered; calling again
//     with the same message and Timestamp repeats nothing;
//   - [ErrQueueFull] or [ErrClosed];
//   - an error of the sender given by [WithSender], or [ErrSenderPanicked].
type Client struct {
	sender    Sender
	deliver   func(context.Context, []Record) error // what sender does with records that are known to be valid
	transform TransformOptions
	onAdjust  func(context.Context, Message, []Adjustment)
	logger    *slog.Logger
	owned     *HTTPSender // where the client made its sender
	queue     *Queue      // where there is one
	seconds   seconds.Memory
	people    people.Memory // those whom AliasOnIdentify has joined with somebody anonymous
	seed      maphash.Seed
	closed    atomic.Bool
	adjusted  atomic.Int64
	told      tally.Tally // when the log spoke of adjustments
}

// New returns a client. It needs [WithAPIKey], or [WithSender], and reports
// every option that is wrong at once, each wrapping [ErrInvalidOption].
func New(options ...Option) (*Client, error) {
	c, queue, err := configureClient(options)
	if err != nil {
		return nil, err
	}
	client := &Client{sender: c.sender, transform: c.transform, onAdjust: c.onAdjust, logger: c.http.logger, seed: maphash.MakeSeed()}
	if client.sender == nil {
		client.owned = newHTTPSender(c.http)
		client.sender, client.deliver = client.owned, client.owned.send
	} else {
		client.deliver = contained(client.sender.Send)
	}
	if queue != nil {
		client.queue = newQueue(client.sender, *queue)
		client.sender, client.deliver = client.queue, client.queue.accept
	}
	return client, nil
}

// Identify sends what is known of a person.
func (c *Client) Identify(ctx context.Context, m Identify) error { return c.SendMessage(ctx, m) }

// Page sends that a page was viewed.
func (c *Client) Page(ctx context.Context, m Page) error { return c.SendMessage(ctx, m) }

// Screen sends that a screen of an application was viewed.
func (c *Client) Screen(ctx context.Context, m Screen) error { return c.SendMessage(ctx, m) }

// Track sends an event.
func (c *Client) Track(ctx context.Context, m Track) error { return c.SendMessage(ctx, m) }

// Group sends that a person belongs to a group.
func (c *Client) Group(ctx context.Context, m Group) error { return c.SendMessage(ctx, m) }

// Alias sends that two identities are one person.
func (c *Client) Alias(ctx context.Context, m Alias) error { return c.SendMessage(ctx, m) }

// SendMessage sends a message of any kind, such as one from [ParseMessage].
//
// A message without a possible time happens now, or a little later: Kissmetrics may
// count two events of one person with one name in one second as one, and keep only
// one value of a property a second. So the client moves such a message to the next
// second that it has not used yet for that person and that event or, if it sets
// properties, for that person and any of those properties. A message with a time of
// its own is never moved, because it may be a repeat.
//
// This has limits. A client knows only what it has sent itself. It forgets seconds
// that have passed, and remembers at least the last 32,768 pairs of person and name
// that have used another. It moves a message by 63 seconds at most. One that would
// have to move further happens now, and that is told as an [AdjustedSecond]. If the
// clock is set back, the seconds that were used before may be forgotten.
func (c *Client) SendMessage(ctx context.Context, message Message) error {
	if c.closed.Load() {
		return ErrClosed
	}
	ctx = nilness.Context(ctx)
	now := time.Now()
	records, adjustments, untimed, err := transform(message, now, c.transform)
	if err != nil {
		return err
	}
	if len(records) == 2 && records[0].Kind == KindAlias && !c.people.IsFirst("", records[0].Person, records[0].Name) {
		if c.transform.Strict {
			return &ValidationError{Field: "anonymousId", Reason: "was another person's before"}
		}
		records = records[1:]
		adjustments = append(adjustments, Adjustment{Field: "anonymousId", Kind: AdjustedAlias})
	}
	if !c.spread(records, now, untimed) {
		adjustments = append(adjustments, Adjustment{Field: "timestamp", Kind: AdjustedSecond})
	}
	if len(adjustments) > 0 {
		c.tell(ctx, message, adjustments)
	}
	return c.deliver(ctx, records)
}

// spread gives the records of a message that has no time of its own the next
// seconds that are theirs alone, and reports whether there were any. It notes the
// seconds of all others.
func (c *Client) spread(records []Record, now time.Time, untimed bool) bool {
	var room [32]seconds.Use
	uses := room[:0]
	for i := range records {
		r := &records[i]
		after := int(r.Time.Unix() - now.Unix())
		switch r.Kind {
		case KindEvent:
			uses = append(uses, seconds.Use{Key: c.key(r.Person, "", r.Name), After: after})
		case KindProperties:
			for j := range r.Properties {
				uses = append(uses, seconds.Use{Key: c.key(r.Person, r.Properties[j].Name, ""), After: after})
			}
		}
	}
	if !untimed {
		c.seconds.Note(now, uses...)
		return true
	}
	move, ok := c.seconds.Take(now, uses...)
	for i := range records {
		records[i].Time = records[i].Time.Add(time.Duration(move) * time.Second)
	}
	return ok
}

// key returns what stands for a person and a property, or a person and an event,
// as Kissmetrics compares their names.
func (c *Client) key(person, property, event string) uint64 {
	return maphash.Comparable(c.seed, [3]string{name.FoldIdentity(person), name.Fold(property), name.Fold(event)})
}

// tell tells what was adjusted of a message: the caller's function every time,
// the log once a minute.
func (c *Client) tell(ctx context.Context, message Message, adjustments []Adjustment) {
	total := c.adjusted.Add(int64(len(adjustments)))
	if _, _, due := c.told.Add(time.Now(), len(adjustments), ""); due {
		c.logger.WarnContext(ctx, "kissmetrics: messages were adjusted", "adjustments", total, "last", adjustments[0].String())
	}
	if c.onAdjust == nil {
		return
	}
	defer func() {
		if recover() != nil { // what it panics with may hold anything
			c.logger.ErrorContext(ctx, "kissmetrics: the function of WithOnAdjust panicked")
		}
	}()
	c.onAdjust(ctx, message, adjustments)
}

// Flush waits until everything that was accepted before it has got its outcome;
// see [Queue.Flush]. A client without a queue accepts nothing that it has not
// delivered, so there is nothing to wait for, unless the sender given by
// [WithSender] is a [Flusher]: then its Flush is called.
func (c *Client) Flush(ctx context.Context) error { return flush(nilness.Context(ctx), c.sender) }

// Close makes every later call return [ErrClosed]. With a queue it then delivers
// what is left, as [Queue.Close] says. Without one it flushes, while calls under
// way go on and return to their callers as they would have. Finally it closes
// idle connections. A sender given by [WithSender] is not closed. Closing again
// is harmless.
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
// has none, and how often the client adjusted something.
func (c *Client) Stats() Stats {
	var stats Stats
	if c.queue != nil {
		stats = c.queue.Stats()
	}
	stats.Adjusted = c.adjusted.Load()
	return stats
}

// version returns the version of this module in the program, as the go command
// recorded it.
func version() string {
	const path = "github.com/kissmetrics-go/kissmetrics"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, module := range append(info.Deps, &info.Main) {
		if module.Path == path && module.Version != "" {
			return strings.Trim(module.Version, "()")
		}
	}
	return "devel"
}

// contained returns a sender's Send, whose panic is an error.
func contained(send func(context.Context, []Record) error) func(context.Context, []Record) error {
	return func(ctx context.Context, records []Record) (err error) {
		defer contain(&err)
		return send(ctx, records)
	}
}

// contain is deferred where a sender is called.
func contain(err *error) {
	if recover() != nil { // what it panics with may hold anything
		*err = ErrSenderPanicked
	}
}
