package natsbox_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

var second = time.Unix(1_700_000_000, 0).UTC()

// event returns the record of an event that is like no other.
func event(n int) kissmetrics.Record {
	return kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: fmt.Sprintf("user-%d", n), Name: "Signed Up", Time: second}
}

func properties(person string, at time.Time, names ...string) kissmetrics.Record {
	r := kissmetrics.Record{Kind: kissmetrics.KindProperties, Person: person, Time: at}
	for _, name := range names {
		r.Properties = append(r.Properties, kissmetrics.Property{Name: name, Value: "v"})
	}
	return r
}

// senderFunc is a function as a Sender.
type senderFunc func(ctx context.Context, records []kissmetrics.Record) error

func (f senderFunc) Send(ctx context.Context, records []kissmetrics.Record) error {
	return f(ctx, records)
}

// nobody takes whatever there is.
var nobody = senderFunc(func(context.Context, []kissmetrics.Record) error { return nil })

// refuse is the error of a server that will never take the records.
func refuse(records []kissmetrics.Record) error {
	return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, StatusCode: 403, Refused: records}
}

func stats(t testing.TB, sender *natsbox.Sender) natsbox.Stats {
	t.Helper()
	stats, err := sender.Stats(t.Context())
	require.NoError(t, err)
	return stats
}

// requireDrained waits until nothing waits any more.
func requireDrained(t testing.TB, sender *natsbox.Sender) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats, err := sender.Stats(context.Background())
		return err == nil && stats.Waiting == 0
	}, 30*time.Second, 5*time.Millisecond, "messages still wait")
}

func TestRecordsGoThroughTheStreamUnchanged(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	records, _, err := kissmetrics.Transform(kissmetrics.Track{
		UserID: "user-1", Event: "Order Completed", Timestamp: second, Properties: kissmetrics.Properties{
			"revenue": 25, "text": "1\n2 \u2028 ü", "ok": true, "products": []any{map[string]any{"sku": "A"}, map[string]any{"sku": "B"}},
		}}, time.Time{}, kissmetrics.TransformOptions{})
	require.NoError(t, err)
	require.Len(t, records, 3)
	alias := []kissmetrics.Record{{Kind: kissmetrics.KindAlias, Person: "a", Name: "b"}}
	require.NoError(t, sender.Send(t.Context(), records))
	require.NoError(t, sender.Send(t.Context(), alias))
	require.NoError(t, sender.Send(t.Context(), nil))
	assert.EqualValues(t, 4, stats(t, sender).Waiting, "records")
	assert.EqualValues(t, 2, stats(t, sender).WaitingMessages)

	got := make(chan []kissmetrics.Record, 2)
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		got <- records
		return nil
	}))
	assert.ElementsMatch(t, [][]kissmetrics.Record{records, alias}, [][]kissmetrics.Record{<-got, <-got})
	requireDrained(t, sender)
}

func TestSendDropsOnlyWhatIsEqualInEverything(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	signedUp := func(person, name string, at time.Time, properties ...kissmetrics.Property) kissmetrics.Record {
		return kissmetrics.NewEvent(person, name, at, properties...)
	}
	plan := kissmetrics.Text("plan", "pro")
	base := []kissmetrics.Record{signedUp("user-1", "Signed Up", second, plan), properties("user-1", second, "a", "b c")}
	for i, tt := range []struct {
		name    string
		second  []kissmetrics.Record
		dropped bool
	}{
		{"the same again", base, true},
		{"names and identities in another case", []kissmetrics.Record{
			signedUp("USER-1", "signed up", second, kissmetrics.Text("Plan", "pro")), properties("User-1", second, "A", "B c"),
		}, true},
		{"another part of the same second", []kissmetrics.Record{signedUp("user-1", "Signed Up", second.Add(1), plan), base[1]}, true},
		{"another value of an event's property", []kissmetrics.Record{signedUp("user-1", "Signed Up", second, kissmetrics.Text("plan", "free")), base[1]}, false},
		{"a value in another case", []kissmetrics.Record{signedUp("user-1", "Signed Up", second, kissmetrics.Text("plan", "Pro")), base[1]}, false},
		{"another property of an event", []kissmetrics.Record{signedUp("user-1", "Signed Up", second, kissmetrics.Text("browser", "pro")), base[1]}, false},
		{"an event without the property", []kissmetrics.Record{signedUp("user-1", "Signed Up", second), base[1]}, false},
		{"another name", []kissmetrics.Record{signedUp("user-1", "Signed In", second, plan), base[1]}, false},
		{"another second", []kissmetrics.Record{signedUp("user-1", "Signed Up", second.Add(time.Second), plan), base[1]}, false},
		{"another person", []kissmetrics.Record{signedUp("user-2", "Signed Up", second, plan), properties("user-2", second, "a", "b c")}, false},
		{"one property more", []kissmetrics.Record{base[0], properties("user-1", second, "a", "b c", "d")}, false},
		{"names that run together", []kissmetrics.Record{base[0], properties("user-1", second, "ab c")}, false},
		{"one record more", append(base[:2:2], event(2)), false},
		{"one record less", base[:1], false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := natsbox.WithStream(fmt.Sprintf("s%d", i))
			require.NoError(t, natsbox.CreateStreams(t.Context(), js, 1<<20, single(name)...))
			sender, err := natsbox.New(t.Context(), js, single(name)...)
			require.NoError(t, err)
			require.NoError(t, sender.Send(t.Context(), base))
			require.NoError(t, sender.Send(t.Context(), tt.second))
			want := 2
			if tt.dropped {
				want = 1
			}
			assert.EqualValues(t, want, stats(t, sender).WaitingMessages)
		})
	}
}

func TestSendDropsNoAliasOfAnotherIdentity(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	alias := kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "a", Name: "b"}
	other, later := alias, alias
	other.Name, later.Time = "c", second
	for _, r := range []kissmetrics.Record{alias, other, later, alias, other, later} {
		require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{r}))
	}
	assert.EqualValues(t, 3, stats(t, sender).Waiting)
}

func TestWhatIsStoredHoldsTheFormatAndNoIdentityInItsID(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	sender := newSender(t, js)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	m, err := stream.GetMsg(t.Context(), 1)
	require.NoError(t, err)
	assert.Equal(t, `{"_p":"user-1","_t":1700000000,"_n":"Signed Up"}`+"\n", string(m.Data))
	assert.Equal(t, "1", m.Header.Get("Kissmetrics-Format"))
	assert.Regexp(t, `^[A-Za-z0-9_-]{43}$`, m.Header.Get("Nats-Msg-Id"))
}

func TestSendRefusesWhatIsNotValid(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	nameless := event(1)
	nameless.Name = ""
	timeless := properties("user-1", time.Time{}, "a")
	err := sender.Send(t.Context(), []kissmetrics.Record{event(1), nameless, timeless})
	invalid, ok := errors.AsType[*kissmetrics.ValidationError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "event", invalid.Field)
	assert.ErrorContains(t, err, "timestamp")
	assert.Zero(t, stats(t, sender).Waiting)
}

func TestAMessageLargerThanTheServerTakesIsInvalid(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	var records []kissmetrics.Record
	for i := range 200 {
		r := properties("user-1", second.Add(time.Duration(i)*time.Second), "a")
		r.Properties[0].Value = strings.Repeat("x", 8192)
		records = append(records, r)
	}
	err := sender.Send(t.Context(), records)
	invalid, ok := errors.AsType[*kissmetrics.ValidationError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, "message", invalid.Field)
	assert.Zero(t, stats(t, sender).Waiting)
}

func TestAFullStreamRefusesAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 4096, single()...))
	sender, err := natsbox.New(t.Context(), js, single()...)
	require.NoError(t, err)
	accepted := 0
	for err == nil {
		if err = sender.Send(t.Context(), []kissmetrics.Record{event(accepted)}); err == nil {
			accepted++
		}
		require.Less(t, accepted, 1000)
	}
	require.ErrorIs(t, err, natsbox.ErrFull)
	assert.EqualValues(t, accepted, stats(t, sender).Waiting)

	server := kissmetricstest.NewServer(t)
	startRelay(t, sender, httpSender(t, server))
	requireDrained(t, sender)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(accepted)}), "there is room again")
	requireDrained(t, sender)
	for i := range accepted + 1 {
		assert.Len(t, server.Events(fmt.Sprintf("user-%d", i)), 1)
	}
}

func TestAStreamThatHasItsMessagesIsFullToo(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 64<<20, single()...))
	sender, err := natsbox.New(t.Context(), js, single()...)
	require.NoError(t, err)
	stream, err := js.Stream(t.Context(), "KISSMETRICS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.MaxMsgs = 1
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	require.ErrorIs(t, sender.Send(t.Context(), []kissmetrics.Record{event(2)}), natsbox.ErrFull)
}

func TestSendFailsWithAllRecordsUndelivered(t *testing.T) {
	t.Parallel()
	records := []kissmetrics.Record{event(1), event(2)}
	for _, tt := range []struct {
		name string
		kind kissmetrics.FailureKind
		ctx  func(t *testing.T) context.Context
	}{
		{"the server is away for longer than the timeout", kissmetrics.FailureUnavailable, func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // which the timeout must not wait for
			t.Cleanup(cancel)
			return ctx
		}},
		{"the caller's context ends", kissmetrics.FailureCanceled, func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return ctx
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			servers := startServer(t, "")
			sender := newSender(t, servers.jetStream(t), natsbox.WithTimeout(200*time.Millisecond))
			servers.nodes["n1"].kill()
			err := sender.Send(tt.ctx(t), records)
			failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, tt.kind, failed.Kind)
			assert.Equal(t, records, failed.Undelivered)
			assert.True(t, failed.Retryable())
			assert.NotContains(t, err.Error(), "user-1")
		})
	}
}

func TestSendDoesNotTryAClosedConnectionAgain(t *testing.T) {
	t.Parallel()
	connection := startServer(t, "").connect(t)
	js, err := jetstream.New(connection)
	require.NoError(t, err)
	sender := newSender(t, js)
	connection.Close()
	err = sender.Send(t.Context(), []kissmetrics.Record{event(1)})
	require.ErrorIs(t, err, nats.ErrConnectionClosed)
	failed, ok := errors.AsType[*kissmetrics.DeliveryError](err)
	require.True(t, ok)
	assert.Equal(t, 1, failed.Attempts)
}

func TestSendMayBeCalledByManyAtOnce(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			for j := range 20 {
				assert.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(20*i + j)}))
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 640, stats(t, sender).Waiting)
	server := kissmetricstest.NewServer(t)
	startRelay(t, sender, httpSender(t, server))
	startRelay(t, sender, httpSender(t, server))
	requireDrained(t, sender)
	assert.Len(t, server.Requests(), 640, "each once, when nobody dies")
}

func httpSender(t testing.TB, server *kissmetricstest.Server) *kissmetrics.HTTPSender {
	t.Helper()
	next, err := kissmetrics.NewHTTPSender(
		kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)
	t.Cleanup(next.CloseIdleConnections)
	return next
}

func TestFlushWaitsForWhatWasStoredBefore(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	require.NoError(t, sender.Flush(t.Context()), "nothing waits")
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	ended, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sender.Flush(ended), context.DeadlineExceeded, "no relay runs")

	release := make(chan struct{})
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Person == "later" {
			<-release
		}
		return nil
	}))
	flushed := make(chan error, 1)
	go func() { flushed <- sender.Flush(t.Context()) }()
	later := event(2)
	later.Person = "later"
	require.NoError(t, <-flushed)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(3)}))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{later}))
	go func() { flushed <- sender.Flush(t.Context()) }()
	require.Eventually(t, func() bool { return stats(t, sender).Waiting == 1 }, 10*time.Second, time.Millisecond)
	assert.Empty(t, flushed, "one still waits")
	close(release)
	require.NoError(t, <-flushed)
}

func TestCloseEndsTheRelaysAndEverythingElse(t *testing.T) {
	t.Parallel()
	connection := startServer(t, "").connect(t)
	js, err := jetstream.New(connection)
	require.NoError(t, err)
	sender := newSender(t, js)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	taken, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- sender.Run(t.Context(), senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
			close(taken)
			<-ctx.Done()
			<-release
			return nil
		}))
	}()
	<-taken
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, sender.Close(short), context.DeadlineExceeded, "the delivery goes on")
	close(release)
	require.NoError(t, <-ended, "the relay's end is no error")
	require.NoError(t, sender.Close(t.Context()))
	require.NoError(t, sender.Close(t.Context()), "again")

	_, statsErr := sender.Stats(t.Context())
	var parkedErr error
	for _, parkedErr = range sender.Parked(t.Context()) {
	}
	for name, err := range map[string]error{
		"Send": sender.Send(t.Context(), []kissmetrics.Record{event(2)}), "Run": sender.Run(t.Context(), nobody),
		"Flush": sender.Flush(t.Context()), "Stats": statsErr, "Parked": parkedErr,
		"Requeue": sender.Requeue(t.Context(), 1), "Delete": sender.Delete(t.Context(), 1),
	} {
		assert.ErrorIs(t, err, kissmetrics.ErrClosed, name)
	}
	assert.True(t, connection.IsConnected(), "the connection is the caller's")
	other, err := natsbox.New(t.Context(), js, single()...)
	require.NoError(t, err)
	assert.Zero(t, stats(t, other).Waiting, "what was delivered while the relay ended is acknowledged")
}

func TestAnIDThatIsNotParkedIsReported(t *testing.T) {
	t.Parallel()
	sender := newSender(t, startServer(t, "").jetStream(t))
	for _, id := range []int64{-1, 0, 1, 1 << 62} {
		require.ErrorIs(t, sender.Requeue(t.Context(), id), natsbox.ErrNotParked)
		require.ErrorIs(t, sender.Delete(t.Context(), id), natsbox.ErrNotParked)
	}
	require.NoError(t, sender.Requeue(t.Context()))
	var none *kissmetrics.HTTPSender
	require.ErrorIs(t, sender.Run(t.Context(), none), kissmetrics.ErrInvalidOption)
}
