package sdktest

import (
	"net/http"
	"testing"
	"time"

	rudderstack "github.com/rudderlabs/analytics-go/v4"
	oldest "github.com/segmentio/analytics-go"
	"github.com/segmentio/analytics-go/v3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	older "gopkg.in/segmentio/analytics-go.v3"

	"github.com/kissmetrics-go/kissmetrics/collect"
)

// delivery is told what became of each message.
type delivery[M any] struct{ outcomes chan error }

func (d delivery[M]) Success(M)            { d.outcomes <- nil }
func (d delivery[M]) Failure(_ M, e error) { d.outcomes <- e }

// enqueue hands messages to one of the SDKs for Go, and waits until it says that
// all were delivered.
func (d delivery[M]) enqueue(t *testing.T, client interface {
	Enqueue(message M) error
	Close() error
}, messages ...M) {
	t.Helper()
	for _, message := range messages {
		require.NoError(t, client.Enqueue(message))
	}
	for range messages {
		select {
		case err := <-d.outcomes:
			require.NoError(t, err)
		case <-time.After(30 * time.Second):
			require.Fail(t, "the SDK does not say what became of its messages")
		}
	}
	require.NoError(t, client.Close())
}

// quiet keeps the SDK from writing to the standard error that a try failed.
type quiet struct{}

func (quiet) Logf(string, ...any)   {}
func (quiet) Errorf(string, ...any) {}

// ways runs a test with the handler at an address, and with the handler as the
// transport of the SDK's Config: no server and no network then.
func ways(t *testing.T, test func(t *testing.T, s *service, url string, transport http.RoundTripper)) {
	t.Run("over the network", func(t *testing.T) {
		t.Parallel()
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		s := start(t)
		test(t, s, s.URL, transport)
	})
	t.Run("in the process", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		test(t, s, "https://api.invalid", s)
	})
}

func TestSegmentForGo(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *service, url string, transport http.RoundTripper) {
		d := delivery[analytics.Message]{make(chan error, 6)}
		client, err := analytics.NewWithConfig(writeKey, analytics.Config{
			Endpoint: url, BatchSize: 4, Interval: 100 * time.Millisecond, Transport: transport, Callback: d, Logger: quiet{},
		})
		require.NoError(t, err)
		d.enqueue(t, client,
			analytics.Identify{UserId: userID, Timestamp: when, Traits: analytics.NewTraits().SetEmail("ada@example.com").Set("address", map[string]string{"city": "London"})},
			analytics.Page{UserId: userID, Timestamp: when, Name: "Pricing", Properties: analytics.NewProperties().Set("category", "Shop").SetPath("/pricing")},
			analytics.Screen{UserId: userID, Timestamp: when, Name: "Cart", Properties: analytics.NewProperties().Set("items", 3)},
			analytics.Track{UserId: userID, Timestamp: when, Event: "Order Completed", Properties: analytics.NewProperties().
				Set("order_id", "o-17").SetRevenue(25.5).Set("gift", true).Set("products", products)},
			analytics.Group{UserId: userID, Timestamp: when, GroupId: "g-1", Traits: analytics.NewTraits().SetName("Engines")},
			analytics.Alias{UserId: userID, PreviousId: visitorID, Timestamp: when},
		)
		s.check(t)
	})
}

// The module as it was known before, from which Customer.io's, Hightouch's and
// Dreamdata's SDKs were made.
func TestSegmentForGoBefore(t *testing.T) {
	t.Parallel()
	ways(t, func(t *testing.T, s *service, url string, transport http.RoundTripper) {
		d := delivery[older.Message]{make(chan error, 6)}
		client, err := older.NewWithConfig(writeKey, older.Config{
			Endpoint: url, BatchSize: 4, Interval: 100 * time.Millisecond, Transport: transport, Callback: d, Logger: quiet{},
		})
		require.NoError(t, err)
		d.enqueue(t, client,
			older.Identify{UserId: userID, Timestamp: when, Traits: older.NewTraits().SetEmail("ada@example.com").Set("address", map[string]string{"city": "London"})},
			older.Page{UserId: userID, Timestamp: when, Name: "Pricing", Properties: older.NewProperties().Set("category", "Shop").SetPath("/pricing")},
			older.Screen{UserId: userID, Timestamp: when, Name: "Cart", Properties: older.NewProperties().Set("items", 3)},
			older.Track{UserId: userID, Timestamp: when, Event: "Order Completed", Properties: older.NewProperties().
				Set("order_id", "o-17").SetRevenue(25.5).Set("gift", true).Set("products", products)},
			older.Group{UserId: userID, Timestamp: when, GroupId: "g-1", Traits: older.NewTraits().SetName("Engines")},
			older.Alias{UserId: userID, PreviousId: visitorID, Timestamp: when},
		)
		s.check(t)
	})
}

// Segment's SDK of old does not try again, and times every message itself.
func TestSegmentForGoVersion2(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.sender.calm = true
	client := oldest.New(writeKey)
	client.Endpoint, client.Size = s.URL, 5
	for _, err := range []error{
		client.Identify(&oldest.Identify{UserId: userID, Traits: map[string]any{"email": "ada@example.com"}}),
		client.Page(&oldest.Page{UserId: userID, Category: "Shop", Name: "Pricing"}),
		client.Track(&oldest.Track{UserId: userID, Event: "Order Completed", Properties: map[string]any{"revenue": 25.5, "products": products}}),
		client.Group(&oldest.Group{UserId: userID, GroupId: "g-1", Traits: map[string]any{"name": "Engines"}}),
		client.Alias(&oldest.Alias{UserId: userID, PreviousId: visitorID}),
	} {
		require.NoError(t, err)
	}
	// It sends the five at once, and forgets what is still queued at Close.
	require.Eventually(t, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.results) == 5
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, client.Close())
	http.DefaultClient.CloseIdleConnections()

	s.flush()
	for _, r := range s.results {
		assert.Equal(t, collect.Accepted, r.Outcome, "%s: %v", r.Type, r.Err)
	}
	events := map[string]string{}
	for _, e := range s.tracking.Events(visitorID) {
		events[e.Name] = e.Properties["Billing Amount"]
	}
	assert.Equal(t, map[string]string{"Viewed Shop Pricing page": "", "Order Completed": "25.5"}, events)
	assert.Len(t, s.tracking.History(userID, "sku"), 2)
	assert.Len(t, s.tracking.History(userID, "email"), 1)
	assert.Len(t, s.tracking.History(userID, "Group - id"), 1)
}

func TestRudderStackForGo(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", ""} {
		t.Run("encoding "+encoding, func(t *testing.T) {
			t.Parallel()
			ways(t, func(t *testing.T, s *service, url string, transport http.RoundTripper) {
				d := delivery[rudderstack.Message]{make(chan error, 6)}
				client, err := rudderstack.NewWithConfig(writeKey, rudderstack.Config{
					DataPlaneUrl: url, BatchSize: 4, Interval: 100 * time.Millisecond, Transport: transport, Callback: d, Logger: quiet{}, DisableGzip: encoding == "",
				})
				require.NoError(t, err)
				d.enqueue(t, client,
					rudderstack.Identify{UserId: userID, OriginalTimestamp: when, Traits: rudderstack.NewTraits().SetEmail("ada@example.com").Set("address", map[string]string{"city": "London"})},
					rudderstack.Page{UserId: userID, OriginalTimestamp: when, Name: "Pricing", Properties: rudderstack.NewProperties().SetCategory("Shop").SetPath("/pricing")},
					rudderstack.Screen{UserId: userID, OriginalTimestamp: when, Name: "Cart", Properties: rudderstack.NewProperties().Set("items", 3)},
					rudderstack.Track{UserId: userID, OriginalTimestamp: when, Event: "Order Completed", Properties: rudderstack.NewProperties().
						Set("order_id", "o-17").SetRevenue(25.5).Set("gift", true).Set("products", products)},
					rudderstack.Group{UserId: userID, OriginalTimestamp: when, GroupId: "g-1", Traits: rudderstack.NewTraits().SetName("Engines")},
					rudderstack.Alias{UserId: userID, PreviousId: visitorID, OriginalTimestamp: when},
				)
				s.check(t)
				s.mu.Lock()
				defer s.mu.Unlock()
				assert.Equal(t, map[string]bool{encoding: true}, s.encoding)
			})
		})
	}
}
