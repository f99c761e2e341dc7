package kissmetrics_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// inBubble runs a test in a bubble whose clock stands still in 2026, with a client
// of a recorder and what the client told.
func inBubble(t *testing.T, test func(t *testing.T, client *kissmetrics.Client, sent func() []kissmetrics.Record, told *[]kissmetrics.Adjustment)) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)))
		var recorder kissmetricstest.Recorder
		var told []kissmetrics.Adjustment
		client, err := kissmetrics.New(kissmetrics.WithSender(&recorder),
			kissmetrics.WithOnAdjust(func(_ context.Context, _ kissmetrics.Message, adjustments []kissmetrics.Adjustment) {
				told = append(told, adjustments...)
			}))
		require.NoError(t, err)
		test(t, client, recorder.Records, &told)
	})
}

// offsets returns the seconds of records, counted from now.
func offsets(records []kissmetrics.Record) []int {
	var all []int
	for _, r := range records {
		all = append(all, int(r.Time.Unix()-time.Now().Unix()))
	}
	return all
}

func TestAMessageWithoutATimestampGetsASecondOfItsOwn(t *testing.T) {
	at := func(seconds int) time.Time { return time.Now().Add(time.Duration(seconds) * time.Second) }
	added := kissmetrics.Track{UserID: "u", Event: "Added to Cart"}
	tests := map[string]struct {
		messages func() []kissmetrics.Message
		want     []int
	}{
		"three events of one name": {func() []kissmetrics.Message {
			return []kissmetrics.Message{added, added, &added}
		}, []int{0, 1, 2}},
		"names and identities in any case are one": {func() []kissmetrics.Message {
			return []kissmetrics.Message{added, kissmetrics.Track{UserID: "U", Event: "added to cart"}}
		}, []int{0, 1}},
		"another event, another person": {func() []kissmetrics.Message {
			return []kissmetrics.Message{added, kissmetrics.Track{UserID: "u", Event: "Signed Up"}, kissmetrics.Track{UserID: "v", Event: "Added to Cart"}}
		}, []int{0, 0, 0}},
		"one property of one person": {func() []kissmetrics.Message {
			return []kissmetrics.Message{
				kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"plan": "trial", "seats": 1}},
				kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"Plan": "pro"}},
				kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"city": "Brussels"}},
			}
		}, []int{0, 1, 0}},
		"what has a timestamp is not moved, but its second is used": {func() []kissmetrics.Message {
			timed := added
			timed.Timestamp = at(1)
			return []kissmetrics.Message{timed, timed, added, added}
		}, []int{1, 1, 0, 2}},
		"a timestamp of a broken clock is none": {func() []kissmetrics.Message {
			broken := added
			broken.Timestamp = time.Unix(1, 0)
			return []kissmetrics.Message{broken, added, broken}
		}, []int{0, 1, 2}},
		"what takes another time of its own is not moved": {func() []kissmetrics.Message {
			read, err := kissmetrics.ParseMessage([]byte(`{"type":"track","userId":"u","event":"Added to Cart","timestamp":"2612-01-01","sentAt":"2026-03-02T10:00:01Z"}`))
			require.NoError(t, err)
			return []kissmetrics.Message{read, read}
		}, []int{1, 1}},
		"the products of an order move with it": {func() []kissmetrics.Message {
			order := kissmetrics.Track{UserID: "u", Event: "Order Completed", Properties: kissmetrics.Properties{
				"products": []any{map[string]any{"sku": "a"}, map[string]any{"sku": "b"}},
			}}
			return []kissmetrics.Message{order, order}
		}, []int{0, 1, 2, 2, 3, 4}},
		"an alias has no second": {func() []kissmetrics.Message {
			alias := kissmetrics.Alias{UserID: "u", PreviousID: "a"}
			return []kissmetrics.Message{alias, alias}
		}, []int{0, 0}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, client *kissmetrics.Client, sent func() []kissmetrics.Record, told *[]kissmetrics.Adjustment) {
				for _, message := range test.messages() {
					require.NoError(t, client.SendMessage(t.Context(), message))
				}
				assert.Equal(t, test.want, offsets(sent()))
				assert.NotContains(t, *told, kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedSecond})
			})
		})
	}
}

func TestAMessageThatWouldMoveTooFarIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, client *kissmetrics.Client, sent func() []kissmetrics.Record, told *[]kissmetrics.Adjustment) {
		for range 66 {
			require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e"}))
		}
		at := offsets(sent())
		assert.Equal(t, []int{62, 63, 0, 0}, at[62:])
		second := kissmetrics.Adjustment{Field: "timestamp", Kind: kissmetrics.AdjustedSecond}
		assert.Equal(t, []kissmetrics.Adjustment{second, second}, *told)
		assert.EqualValues(t, 2, client.Stats().Adjusted)
		time.Sleep(time.Minute + 4*time.Second)
		require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e"}))
		assert.Equal(t, 0, offsets(sent())[66], "and then there is room again")
	})
}

// TestAdjustmentsAreLoggedOnceAMinute: a clock that was set back does not silence
// the log until it is where it was.
func TestAdjustmentsAreLoggedOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client, err := kissmetrics.New(kissmetrics.WithSender(&kissmetricstest.Recorder{}), kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		require.NoError(t, err)
		lines := func() int {
			log.Reset()
			require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"s3cret": "", "": "s3cret"}}))
			return strings.Count(log.String(), "\n")
		}
		time.Sleep(time.Until(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)))
		assert.Equal(t, 1, lines())
		assert.NotContains(t, log.String(), "s3cret")
		time.Sleep(time.Minute - time.Nanosecond)
		assert.Equal(t, 0, lines())
		time.Sleep(time.Nanosecond)
		assert.Equal(t, 1, lines())
		assert.Equal(t, 0, lines())
	})
}

func TestAClientJoinsAnAnonymousIdentityWithOnePersonOnly(t *testing.T) {
	for _, strict := range []bool{false, true} {
		var recorder kissmetricstest.Recorder
		client, err := kissmetrics.New(kissmetrics.WithSender(&recorder), kissmetrics.WithTransform(kissmetrics.TransformOptions{AliasOnIdentify: true, Strict: strict}))
		require.NoError(t, err)
		identify := func(userID, anonymousID string) (aliases int, err error) {
			before := len(recorder.Records())
			err = client.Identify(t.Context(), kissmetrics.Identify{UserID: userID, AnonymousID: anonymousID, Traits: kissmetrics.Properties{"a": 1}})
			return max(0, len(recorder.Records())-before-1), err
		}
		for _, ids := range [][2]string{{"bob@example.com", "v-1"}, {"bob@example.com", "v-1"}, {"bob@example.com", "v-2"}} {
			aliases, err := identify(ids[0], ids[1])
			require.NoError(t, err)
			assert.Equal(t, 1, aliases, ids)
		}
		for _, anonymousID := range []string{"v-1", "Bob@example.com"} { // another's, and one that is known to be named
			aliases, err := identify("carol@example.com", anonymousID)
			assert.Zero(t, aliases)
			if strict {
				require.ErrorContains(t, err, "anonymousId")
			} else {
				require.NoError(t, err)
				assert.Equal(t, "carol@example.com", recorder.Records()[len(recorder.Records())-1].Person, "the traits are sent all the same")
			}
		}
	}
}
