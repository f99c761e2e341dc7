package riverbox_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// as opens a database as a new role, which gets rights and logs its warnings.
func (b *box) as(database, name string, log *trial.Log, rights ...string) *box {
	b.t.Helper()
	u := must(url.Parse(database))
	role := name + "_" + strings.TrimPrefix(u.Path, "/")
	b.execute("CREATE ROLE " + role + " LOGIN")
	for _, right := range rights {
		b.execute(fmt.Sprintf("GRANT %s TO %s", right, role))
	}
	query := u.Query()
	query.Set("user", role)
	u.RawQuery = query.Encode()
	return open(b.t, u.String(), riverbox.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
}

func (b *box) execute(sql string) {
	b.t.Helper()
	_, err := b.pool.Exec(b.t.Context(), sql)
	require.NoError(b.t, err)
}

// The rights to run, as the package's documentation lists them.
const toRun = "SELECT, INSERT, UPDATE, DELETE ON river_job, river_leader, river_queue"

// A role that does not own the tables needs no more rights than the package's
// documentation lists.
func TestTheRightsThatAreDocumentedAreEnough(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	admin := open(t, database)
	var log trial.Log
	sender := admin.as(database, "sender", &log, "SELECT, INSERT, UPDATE ON river_job", "USAGE ON SEQUENCE river_job_id_seq")
	relay := admin.as(database, "relay", &log, toRun)
	server := kissmetricstest.NewServer(t)
	_, stop := relay.run(strict(httpSender(t, server)))
	for range 2 {
		require.NoError(t, sender.Send(t.Context(), events("ada", 2)))
	}
	require.NoError(t, sender.Flush(t.Context()))
	stop()
	assert.Len(t, server.Events("ada"), 2)
	assert.Empty(t, log.String())
}

// PostgreSQL hides rows without a word: to the relay nothing waits, then.
func TestItIsToldThatRowLevelSecurityMayHideJobs(t *testing.T) {
	t.Parallel()
	const told = "row-level security is on"
	database := newDatabase(t)
	admin := open(t, database)
	var log trial.Log
	relay := admin.as(database, "relay", &log, toRun)
	var recorder kissmetricstest.Recorder
	_, stop := relay.run(&recorder)
	admin.execute("ALTER TABLE river_job ENABLE ROW LEVEL SECURITY")
	require.NoError(t, admin.Send(t.Context(), events("ada", 1)))
	require.Eventually(t, func() bool { return strings.Contains(log.String(), told) }, patience, 10*time.Millisecond)
	admin.execute("CREATE POLICY everything ON river_job USING (true)")
	require.NoError(t, admin.Flush(t.Context()))
	stop()
	assert.NotEmpty(t, recorder.Records())
	assert.Equal(t, 1, strings.Count(log.String(), told), "once")
	_ = admin.as(database, "another", &log, toRun)
	assert.Equal(t, 2, strings.Count(log.String(), told), "New tells it, too")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // of a test
	}
	return v
}
