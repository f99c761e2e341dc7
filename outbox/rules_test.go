package outbox_test

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

func TestEveryWrongOptionIsReported(t *testing.T) {
	_, err := outbox.Open(t.Context(), "", nil, outbox.WithMaxRecords(0), outbox.WithMaxBytes(-1), outbox.WithWorkers(1025),
		outbox.WithBackoff(2, 1), outbox.WithLogger(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, option := range []string{"the path", "an option is nil", "WithMaxRecords", "WithMaxBytes", "WithWorkers", "WithBackoff", "WithLogger"} {
		assert.ErrorContains(t, err, option)
	}
	for _, option := range []outbox.Option{outbox.WithWorkers(0), outbox.WithBackoff(0, 0)} {
		_, err := outbox.Open(t.Context(), filepath.Join(t.TempDir(), "outbox.db"), option)
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	}
}

// What SendTx refuses leaves the counts as they were, by which damage is found.
func TestSendTxThatIsRefusedIsNotCounted(t *testing.T) {
	line, err := record("a").MarshalJSON()
	require.NoError(t, err)
	one := int64(len(line) + 1 + 24)
	path := filepath.Join(t.TempDir(), "shop.db")
	db := application(t, path)
	require.NoError(t, outbox.Migrate(t.Context(), db))
	box := open(t, path, outbox.WithSharedFile(), outbox.WithMaxBytes(2*one))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}))
	require.ErrorIs(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("b"), record("c")}), outbox.ErrFull)
	require.NoError(t, tx.Commit())
	again := open(t, path, outbox.WithSharedFile())
	stats, err := again.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Waiting)
	assert.Equal(t, one, stats.WaitingBytes)
}

func TestOldestIsTheFirstThatWaits(t *testing.T) {
	db, box := shared(t)
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.True(t, stats.Oldest.IsZero(), "nothing waits")
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	// The second is in the header of the message; its checksum does not matter here.
	_, err = db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = CAST(substr(message, 1, 4) || x'0000000065000000' || substr(message, 13) AS BLOB)")
	require.NoError(t, err)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("b")}))
	stats, err = box.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, time.Unix(0x65000000, 0).UTC(), stats.Oldest)
}

// What comes after Flush has begun is not waited for.
func TestFlushEndsWhileOthersSend(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
	var enough atomic.Bool
	sent := 0
	next := senderFunc(func(ctx context.Context, _ []kissmetrics.Record) error {
		if enough.Load() {
			return nil
		}
		sent++ // so that there is always one that waits
		return box.Send(context.WithoutCancel(ctx), []kissmetrics.Record{record(strconv.Itoa(sent))})
	})
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("first")}))
	start(t, box, next)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, box.Flush(ctx))
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.Positive(t, stats.Waiting)
	enough.Store(true)
}

// A file that is damaged is not exchanged under another that has it open.
func TestARepairWaitsForOthersToClose(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box, other := open(t, path), open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("readable")}))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("damaged")}))
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = CAST(replace(message, 'damaged', 'DAMAGED') AS BLOB) WHERE id = 2")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	require.Eventually(t, func() bool {
		_, err := box.Stats(t.Context())
		return isKind(err, outbox.StorageDamaged)
	}, time.Minute, time.Millisecond, "the damage is noticed")
	err = box.Send(t.Context(), []kissmetrics.Record{record("refused")})
	require.ErrorContains(t, err, "while another has it open")
	assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
	assert.NoFileExists(t, path+".damaged-1")
	require.NoError(t, other.Send(t.Context(), []kissmetrics.Record{record("of the other")}), "who has not noticed goes on")

	closeBox(t, other)
	require.Eventually(t, func() bool {
		return box.Send(t.Context(), []kissmetrics.Record{record("after")}) == nil
	}, time.Minute, time.Millisecond)
	require.FileExists(t, path+".damaged-1")
	require.NoError(t, box.Flush(t.Context()))
	var names []string
	for _, r := range recorder.Records() {
		names = append(names, r.Name)
	}
	assert.Subset(t, names, []string{"readable", "of the other", "after"})
	assert.NotContains(t, strings.ToLower(strings.Join(names, " ")), "damaged")
	assert.NotContains(t, names, "refused")
}

func TestRequeueAndDeleteAllOrNone(t *testing.T) {
	db, box := shared(t, outbox.WithWorkers(1)) // for an order of what is parked
	stats := func() outbox.Stats {
		stats, err := box.Stats(t.Context())
		require.NoError(t, err)
		return stats
	}
	for _, name := range []string{"a", "b", "c"} {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(name), record(name + " refused"), record(name + " refused too")}))
	}
	deliver(t, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Delivered: records[:1], Refused: records[1:]}
	}))
	assert.EqualValues(t, 3, stats().Delivered, "what was refused is not delivered")
	assert.EqualValues(t, 3, stats().Parked, "one entry for each message")
	var ids []int64
	for p, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		require.Len(t, p.Records, 2)
		ids = append(ids, p.ID)
	}
	require.IsIncreasing(t, ids)

	require.ErrorIs(t, box.Requeue(t.Context(), ids[0], 1000), outbox.ErrNotParked)
	require.ErrorIs(t, box.Delete(t.Context(), ids[1], 1000), outbox.ErrNotParked)
	assert.EqualValues(t, 3, stats().Parked)
	assert.Zero(t, stats().Waiting)

	require.NoError(t, box.Delete(t.Context(), ids[0], ids[0]))
	require.NoError(t, box.Requeue(t.Context(), ids[2], ids[1], ids[2]))
	require.NoError(t, box.Requeue(t.Context()))
	assert.Zero(t, stats().Parked)
	assert.EqualValues(t, 4, stats().Waiting)
	// As what waits, it would be found in a damaged file.
	var marks int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM kissmetrics_waiting WHERE substr(message, 1, 4) = CAST('KMo1' AS BLOB)").Scan(&marks))
	assert.Equal(t, 2, marks)

	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.ElementsMatch(t, []kissmetrics.Record{
		record("b refused"), record("b refused too"), record("c refused"), record("c refused too"),
	}, recorder.Records())
	assert.Zero(t, stats().WaitingBytes)
	assert.EqualValues(t, 7, stats().Delivered)
}

// A message that comes to lie before what was read already is not passed by.
func TestTheRelayFindsWhatItHasPassedBy(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("first")}))
	require.NoError(t, box.Flush(t.Context()))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("before it")}))
	_, err = tx.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET id = -id")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Eventually(t, func() bool { return len(recorder.Records()) == 2 }, time.Minute, time.Millisecond)
}

// Messages that are counted, but cannot be found, are searched for in the file.
func TestWhatHasDisappearedIsSearchedFor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	for i := range 20 {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(strconv.Itoa(i))}))
	}
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "DELETE FROM kissmetrics_waiting")
	require.NoError(t, err)
	require.NoError(t, db.Close())

	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	require.Eventually(t, func() bool {
		stats, err := box.Stats(t.Context())
		return err == nil && stats.Parked == 1
	}, time.Minute, time.Millisecond, "the damage is told")
	require.NoError(t, box.Flush(t.Context()))
	require.FileExists(t, path+".damaged-1")
	assert.NotEmpty(t, recorder.Records(), "the pages hold them still")
	found := names(recorder.Records())
	slices.Sort(found)
	assert.Equal(t, found, slices.Compact(slices.Clone(found)), "of several copies, one is enough")
	for p, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Contains(t, p.Reason, path+".damaged-1")
		assert.Empty(t, p.Records)
	}
}

// What is refused is refused alone, also of those that are committed together.
func TestARefusalFailsNoOtherCall(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"), outbox.WithMaxRecords(100))
	var callers sync.WaitGroup
	for i := range 100 {
		callers.Go(func() { assert.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(strconv.Itoa(i))})) })
		callers.Go(func() { assert.ErrorIs(t, box.Delete(t.Context(), 1000), outbox.ErrNotParked) })
		callers.Go(func() {
			assert.ErrorIs(t, box.Send(t.Context(), slices.Repeat([]kissmetrics.Record{record("x")}, 101)), outbox.ErrFull)
		})
	}
	callers.Wait()
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 100, stats.Waiting)
}

// What has begun to be stored is carried through, so that the error of a context
// says that nothing was.
func TestAnErrorOfTheContextMeansThatNothingIsStored(t *testing.T) {
	t.Parallel()
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
	stored := make([]error, 2000)
	var senders sync.WaitGroup
	for i := range stored {
		senders.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
			defer cancel()
			stored[i] = box.Send(ctx, []kissmetrics.Record{record(strconv.Itoa(i))})
		})
	}
	senders.Wait()
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	delivered := make(map[string]bool)
	for _, name := range names(recorder.Records()) {
		delivered[name] = true
	}
	for i, err := range stored {
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
		assert.Equal(t, err == nil, delivered[strconv.Itoa(i)], "%d: %v", i, err)
	}
}

// What somebody removes while it is under way, from among others, is neither counted
// as delivered nor counted away.
func TestWhatIsRemovedUnderWayIsNotCounted(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	const messages = 8 // as many as are delivered at once in the beginning
	for i := range messages {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(strconv.Itoa(i))}))
	}
	var arrived sync.WaitGroup
	arrived.Add(messages)
	removed := make(chan struct{})
	start(t, box, senderFunc(func(context.Context, []kissmetrics.Record) error {
		arrived.Done()
		<-removed
		return nil
	}))
	arrived.Wait()
	_, err := db.ExecContext(t.Context(), "DELETE FROM kissmetrics_waiting WHERE id IN (3, 4, 7)")
	require.NoError(t, err)
	close(removed)
	require.NoError(t, box.Flush(t.Context()))
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, messages-3, stats.Delivered)
}

// What a trigger of somebody's keeps is not counted away, and the relay waits until
// it can be removed.
func TestWhatATriggerKeepsIsStillCounted(t *testing.T) {
	t.Parallel()
	var log trial.Log
	db, box := shared(t, outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	const keep = "CREATE TRIGGER keep BEFORE DELETE ON kissmetrics_waiting BEGIN SELECT RAISE(IGNORE); END"
	_, err := db.ExecContext(t.Context(), keep)
	require.NoError(t, err)
	const messages = 20
	for i := range messages {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(strconv.Itoa(i))}))
	}
	var recorder kissmetricstest.Recorder
	start(t, box, &recorder)
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "cannot be removed") }, time.Minute, time.Millisecond)
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, messages, stats.Waiting)
	_, err = db.ExecContext(t.Context(), "DROP TRIGGER keep")
	require.NoError(t, err)
	require.NoError(t, box.Flush(t.Context()))
	assert.Len(t, recorder.Records(), messages)
}

// What is stored as a record that is not valid, as by other rules, is for the next sender
// to refuse.
func TestWhatIsStoredAndIsNotValidIsRefused(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = ?", outbox.Sealed(1, `{"_p":"","_n":"b"}`+"\n"))
	require.NoError(t, err)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Empty(t, recorder.Records())
	for parked, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Contains(t, parked.Reason, "invalid identity: is missing")
	}
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Parked)
}

// Each record is tried once before the relay goes by its own rules, however often the
// sender would try it; and what is refused is told.
func TestTheRelayTriesAgainByItsOwnRules(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	server.Fail(kissmetricstest.Fault{Status: http.StatusBadGateway})
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL), kissmetrics.WithBackoff(time.Hour, time.Hour))
	require.NoError(t, err)
	t.Cleanup(sender.CloseIdleConnections)
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"), outbox.WithBackoff(time.Millisecond, time.Millisecond))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	deliver(t, box, sender)
	assert.Len(t, server.Requests(), 2)
}
