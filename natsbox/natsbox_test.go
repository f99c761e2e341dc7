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
	assert.EqualValues(t, 2, stats(t, sender).Waiting)

	got := make(chan []kissmetrics.Record, 2)
	startRelay(t, sender, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		got <- records
		return nil
	}))
	assert.ElementsMatch(t, [][]kissmetrics.Record{records, alias}, [][]kissmetrics.Record{<-got, <-got})
	requireDrained(t, sender)
}

func TestSendDropsExactlyWhatKissmetricsWould(t *testing.T) {
	t.Parallel()
	js := startServer(t, "").jetStream(t)
	base := []kissmetrics.Record{event(1), properties("user-1", second, "a", "b:c")}
	withProperties := event(1)
	withProperties.Properties = []kissmetrics.Property{{Name: "x", Value: "y"}}
	otherCase := event(1)
	otherCase.Name = "signed up"
	for i, tt := range []struct {
		name    string
		second  []kissmetrics.Record
		dropped bool
	}{
		{"the same again", base, true},
		{"an event of the same person, name and second, whatever its properties", []kissmetrics.Record{withProperties, base[1]}, true},
		{"names in another case, with a colon for a space", []kissmetrics.Record{otherCase, properties("user-1", second, "A", "B C")}, true},
		{"names in another order", []kissmetrics.Record{event(1), properties("user-1", second, "B:C", "a")}, true},
		{"a property of another name", []kissmetrics.Record{event(1), properties("user-1", second, "a", "b:c", "d")}, false},
		{"properties of another second", []kissmetrics.Record{event(1), properties("user-1", second.Add(time.Second), "a", "b:c")}, false},
		{"another person", []kissmetrics.Record{event(2), properties("user-2", second, "a", "b:c")}, false},
		{"one record more", append(base[:2:2], event(2)), false},
		{"names with a comma for a space", []kissmetrics.Record{event(1), properties("user-1", second, "a", "b,c")}, true},
		{"names that run together", []kissmetrics.Record{event(1), properties("user-1", second, "ab:c")}, false},
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
			assert.EqualValues(t, want, stats(t, sender).Waiting)
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
	assert.Regexp(t, `^[A-Za-z0-9_-]{32}$`, m.Header.Get("Nats-Msg-Id"))
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
		kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithMaxAttempts(1))
	require.NoError(t, err)
	t.Cleanup(next.CloseIdleConnections)
	return next
}
