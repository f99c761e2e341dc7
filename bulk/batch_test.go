package bulk_test

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// gathered sends messages at once while the disk is at work on another, so that they
// are written together, and returns the errors.
func gathered(t *testing.T, shelf *shelf, messages [][]kissmetrics.Record, options ...bulk.Option) (errs []error) {
	t.Helper()
	syncing, proceed := make(chan struct{}), make(chan struct{})
	held := bulk.WithSync(func(f *os.File) error {
		syncing <- struct{}{}
		<-proceed
		return f.Sync()
	})
	s := open(t, t.TempDir(), bulk.Bucket{Name: "b", Base: "shop"}, append(options, bulk.WithPut(shelf.put), held)...)
	errs = make([]error, len(messages))
	var all sync.WaitGroup
	all.Go(func() { assert.NoError(t, s.Send(t.Context(), []kissmetrics.Record{record("first")})) })
	<-syncing
	for i, records := range messages {
		all.Go(func() { errs[i] = s.Send(t.Context(), records) })
	}
	synctest.Wait()
	go func() {
		for range syncing {
		}
	}()
	close(proceed)
	all.Wait()
	start(t, s)
	flush(t, s)
	closeSender(t, s)
	close(syncing)
	return errs
}

func TestAMessageThatIsRefusedCostsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var messages [][]kissmetrics.Record
		for i := range 60 {
			message := []kissmetrics.Record{record(fmt.Sprintf("a%d", i)), record(fmt.Sprintf("b%d", i))}
			switch i % 6 {
			case 1:
				message[1].Person = "" // invalid
			case 2:
				message = message[:1]
				message[0].Kind, message[0].Name, message[0].Properties = kissmetrics.KindProperties, "", nil // without a line
			case 3:
				message[0].Properties[0].Value = strings.Repeat("x", 8000) // made into lines elsewhere
			}
			messages = append(messages, message)
		}
		shelf := new(shelf)
		want := []string{"first"}
		for i, err := range gathered(t, shelf, messages) {
			switch i % 6 {
			case 1:
				var invalid *kissmetrics.ValidationError
				require.ErrorAs(t, err, &invalid)
				continue
			case 2:
			default:
				want = append(want, messages[i][0].Name, messages[i][1].Name)
			}
			require.NoError(t, err)
		}
		require.Len(t, shelf.lists(), 1)
		assert.ElementsMatch(t, want, shelf.lists()[0])
	})
}

func TestWhatIsRefusedTakesNoRoom(t *testing.T) {
	s := open(t, t.TempDir(), bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(new(shelf).put), bulk.WithMaxRecords(2))
	invalid := record("a")
	invalid.Person = ""
	bare := kissmetrics.NewProperties("ann", time.Unix(1_700_000_000, 0))
	for range 5 {
		var wrong *kissmetrics.ValidationError
		require.ErrorAs(t, s.Send(t.Context(), []kissmetrics.Record{invalid}), &wrong)
		require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{bare, bare, bare}))
	}
	send(t, s, "a", "b")
	require.ErrorIs(t, s.Send(t.Context(), []kissmetrics.Record{record("c")}), bulk.ErrFull)
	var wrong *kissmetrics.ValidationError
	require.ErrorAs(t, s.Send(t.Context(), []kissmetrics.Record{invalid}), &wrong, "which no room would help")
	require.NoError(t, s.Send(t.Context(), []kissmetrics.Record{bare}))
	require.NoError(t, s.Send(t.Context(), nil))
	assert.EqualValues(t, 2, statsOf(t, s).Waiting)
}

func TestNoLinesAreLongerThanWasReckoned(t *testing.T) {
	at := time.Unix(253402300799, 0)
	for _, text := range []string{"a", "\x01", "\"\\", "é", "\u2028", strings.Repeat("\x02", 254)} {
		for name, r := range map[string]kissmetrics.Record{
			"event":      kissmetrics.NewEvent("p"+text, "n"+text, at, kissmetrics.Text("a"+text, text), kissmetrics.Text("b", text)),
			"properties": kissmetrics.NewProperties("p"+text, at, kissmetrics.Text("c", "")),
			"alias":      kissmetrics.NewAlias("p"+text, "q"+text, at),
		} {
			lines, err := kissmetrics.AppendImport(nil, []kissmetrics.Record{r, r})
			require.NoError(t, err)
			assert.LessOrEqual(t, len(lines), bulk.MaxBytes([]kissmetrics.Record{r, r}), "%s %q", name, text)
		}
	}
}
