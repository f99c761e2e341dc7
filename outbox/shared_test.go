package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"modernc.org/sqlite"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// shared returns a file with a table of orders, and its outbox.
func shared(t *testing.T, options ...outbox.Option) (*sql.DB, *outbox.Outbox) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	require.NoError(t, outbox.Migrate(t.Context(), db))
	return db, open(t, path, append([]outbox.Option{outbox.WithSharedFile()}, options...)...)
}

// application opens a file as an application does, until the test ends.
func application(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	return db
}

// TestSendTxReadsNothingBeforeItWrites: another transaction may have been committed
// since the check, after which one that has read can write no more.
func TestSendTxReadsNothingBeforeItWrites(t *testing.T) {
	db, box := shared(t)
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.CheckTx(t.Context(), tx))
	_, err = db.ExecContext(t.Context(), "INSERT INTO orders VALUES ('of another')")
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}))
	require.NoError(t, tx.Commit())
}

func TestSendTxIsPartOfTheTransaction(t *testing.T) {
	db, box := shared(t)
	for _, commit := range []bool{true, false} {
		name := "kept"
		if !commit {
			name = "undone"
		}
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "INSERT INTO orders VALUES (?)", name)
		require.NoError(t, err)
		require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record(name), record(name + " too")}))
		if commit {
			require.NoError(t, tx.Commit())
		} else {
			require.NoError(t, tx.Rollback())
		}
	}
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Equal(t, []kissmetrics.Record{record("kept"), record("kept too")}, recorder.Records())
	var orders int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&orders))
	assert.Equal(t, 1, orders)
}

func TestSendTxThatFailsLeavesTheTransaction(t *testing.T) {
	db, box := shared(t, outbox.WithMaxRecords(2))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}))
	require.ErrorIs(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("b"), record("c")}), outbox.ErrFull)
	_, err = tx.ExecContext(t.Context(), "INSERT INTO orders VALUES ('1')")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Waiting)
}

func TestSendTxNeedsASharedFile(t *testing.T) {
	db, _ := shared(t)
	box := open(t, filepath.Join(t.TempDir(), "other.db"))
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { assert.NoError(t, tx.Rollback()) }()
	require.ErrorContains(t, box.SendTx(t.Context(), tx, []kissmetrics.Record{record("a")}), "WithSharedFile")
}

func TestMigrateMayBeRepeated(t *testing.T) {
	db, box := shared(t)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.NoError(t, outbox.Migrate(t.Context(), db))
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 1, stats.Waiting, "what is there is left alone")
}

func TestMaxBytesRefusesTheWholeMessage(t *testing.T) {
	line, err := record("a").MarshalJSON()
	require.NoError(t, err)
	one := int64(len(line) + 1 + 24)
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"), outbox.WithMaxBytes(2*one))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	require.ErrorIs(t, box.Send(t.Context(), []kissmetrics.Record{record("b"), record("c")}), outbox.ErrFull)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("d")}), "exactly as much as there may be")
	require.ErrorIs(t, box.Send(t.Context(), []kissmetrics.Record{record("e")}), outbox.ErrFull)
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 2*one, stats.WaitingBytes)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("e")}), "there is room again")
}

func TestTheFileHoldsNoAPIKey(t *testing.T) {
	const key = "a-key-that-is-like-no-other"
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		return &kissmetricstest.Fault{Status: http.StatusBadRequest}
	})
	refused, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(key), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)
	defer refused.CloseIdleConnections()
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("parked")}))
	deliver(t, box, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
		outcome := kissmetrics.Settle(records, refused.Send(ctx, records)).Aged(24 * time.Hour)
		return &kissmetrics.DeliveryError{Kind: outcome.Kind, Refused: outcome.Refused, Reason: outcome.Reason}
	}))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("waiting")}))
	var all strings.Builder
	for _, ending := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + ending)
		require.NoError(t, err)
		assert.False(t, bytes.Contains(data, []byte(key)))
		all.WriteString(string(data))
	}
	assert.Contains(t, all.String(), "waiting")
}

func TestAnAliasGetsTheTimeOfItsAcceptance(t *testing.T) {
	box := open(t, filepath.Join(t.TempDir(), "outbox.db"))
	before := time.Now().Truncate(time.Second)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{{Kind: kissmetrics.KindAlias, Person: "ann", Name: "ann@example.com"}}))
	accepted := time.Now()
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	records := recorder.Records()
	require.Len(t, records, 1)
	assert.False(t, records[0].Time.Before(before))
	assert.False(t, records[0].Time.After(accepted))
}

// What was under way when a backup was put back into the open file has no more to do with
// what is stored after that, under the same ids.
func TestWhatIsStoredAfterABackupWasPutBackIsDelivered(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	backup := filepath.Join(t.TempDir(), "backup.db")
	_, err := db.ExecContext(t.Context(), "VACUUM INTO ?", backup)
	require.NoError(t, err)
	var recorder kissmetricstest.Recorder
	arrived, answer := make(chan struct{}), make(chan struct{})
	start(t, box, senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
		if records[0].Name == "before" {
			arrived <- struct{}{}
			<-answer
		}
		return recorder.Send(ctx, records)
	}))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("before")}))
	<-arrived
	conn, err := db.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, conn.Raw(func(driver any) error {
		restore, err := driver.(interface {
			NewRestore(path string) (*sqlite.Backup, error)
		}).NewRestore(backup)
		if err != nil {
			return err
		}
		_, err = restore.Step(-1)
		return errors.Join(err, restore.Finish())
	}))
	require.NoError(t, conn.Close())
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("after")}))
	close(answer)
	require.NoError(t, box.Flush(t.Context()))
	names := make([]string, 0, 2)
	for _, r := range recorder.Records() {
		names = append(names, r.Name)
	}
	assert.Equal(t, []string{"before", "after"}, names)
}
