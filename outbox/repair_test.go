package outbox_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

func names(records []kissmetrics.Record) (all []string) {
	for _, r := range records {
		all = append(all, r.Name)
	}
	return all
}

// damageOne changes a byte of a waiting message.
func damageOne(t *testing.T, path string) {
	t.Helper()
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = CAST(replace(message, 'damaged', 'DAMAGED') AS BLOB)")
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// What is under way when the file is exchanged has the number of another message
// in the new one.
func TestWhatWasUnderWayRemovesNothingOfANewFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("first of the old file")}))
	arrived, leave := make(chan struct{}), make(chan struct{})
	stop := start(t, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		if records[0].Name == "first of the old file" {
			close(arrived)
			<-leave
			return nil
		}
		return errors.New("not yet")
	}))
	<-arrived
	for _, ending := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.Remove(path+ending))
	}
	require.Error(t, box.Send(t.Context(), []kissmetrics.Record{record("lost")}))
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("first of the new file")}))
	close(leave)
	stop()
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Equal(t, []string{"first of the new file"}, names(recorder.Records()))
}

func TestARepairThatWasInterruptedIsEnded(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string][]byte{"before the damaged file was renamed": []byte("damaged"), "after it was": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			box := open(t, path)
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("saved")}))
			closeBox(t, box)
			require.NoError(t, os.Rename(path, path+"-salvaged"))
			if rest != nil {
				require.NoError(t, os.WriteFile(path, rest, 0o600))
			}
			var recorder kissmetricstest.Recorder
			deliver(t, open(t, path), &recorder)
			assert.Equal(t, []string{"saved"}, names(recorder.Records()))
			assert.NoFileExists(t, path+"-salvaged")
			if rest != nil {
				kept, err := os.ReadFile(path + ".damaged-1")
				require.NoError(t, err)
				assert.Equal(t, rest, kept)
			}
		})
	}
}

// A repair keeps what is parked, as parked, and the counts, and makes nothing
// twice.
func TestARepairKeepsWhatIsParkedAndTheCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("delivered"), record("parked")}))
	deliver(t, box, senderFunc(func(_ context.Context, records []kissmetrics.Record) error {
		return &kissmetrics.DeliveryError{Kind: kissmetrics.FailureRefused, Attempts: 1, Delivered: records[:1], Refused: records[1:]}
	}))
	for _, name := range []string{"a", "damaged", "b"} {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(name)}))
	}
	closeBox(t, box)
	damageOne(t, path)

	box = open(t, path)
	var recorder kissmetricstest.Recorder
	stop := start(t, box, &recorder)
	require.Eventually(t, func() bool {
		stats, err := box.Stats(t.Context())
		return err == nil && stats.Waiting == 0
	}, time.Minute, time.Millisecond)
	stop()
	assert.Subset(t, names(recorder.Records()), []string{"a", "b"})
	assert.NotContains(t, names(recorder.Records()), "parked")
	stats, err := box.Stats(t.Context())
	require.NoError(t, err)
	assert.EqualValues(t, 2, stats.Parked, "and the entry of the repair")
	assert.GreaterOrEqual(t, stats.Delivered, int64(3), "what was delivered before counts")
	var parked []string
	for p, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		parked = append(parked, names(p.Records)...)
		if len(p.Records) > 0 {
			assert.Contains(t, p.Reason, "delivery refused")
		}
	}
	assert.Equal(t, []string{"parked"}, parked)
}

// A file with the application's tables, which was opened without WithSharedFile,
// is left alone.
func TestAnApplicationsFileIsNotRepaired(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	require.NoError(t, outbox.Migrate(t.Context(), db))
	_, err = db.ExecContext(t.Context(), "INSERT INTO orders VALUES ('1'); DELETE FROM kissmetrics_totals")
	require.NoError(t, err)

	_, err = outbox.Open(t.Context(), path, outbox.WithSharedFile())
	assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
	_, err = outbox.Open(t.Context(), path)
	assert.True(t, isKind(err, outbox.StorageForeign), "%v", err)
	assert.NoFileExists(t, path+".damaged-1")
	var orders int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM orders").Scan(&orders))
	assert.Equal(t, 1, orders)
}
