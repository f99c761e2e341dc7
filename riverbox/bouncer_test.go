package riverbox_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// newBouncer returns the URL of a new database through PgBouncer in transaction
// mode, which has so many connections to it.
func newBouncer(t testing.TB, connections int) string {
	t.Helper()
	direct, err := url.Parse(newDatabase(t))
	require.NoError(t, err)
	bouncer, err := shared.Bouncer(t.Context(), connections)
	if err == postgres.ErrNoBouncer { //nolint:errorlint // not wrapped
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, bouncer.Remove()) })
	return bouncer.URL(strings.TrimPrefix(direct.Path, "/"))
}

func TestEverythingWorksThroughPgBouncer(t *testing.T) {
	t.Parallel()
	b := open(t, newBouncer(t, 2)+"&default_query_exec_mode=exec", riverbox.WithPollOnly())
	server := kissmetricstest.NewServer(t)
	server.FailWith(func(r *http.Request) *kissmetricstest.Fault {
		if r.Form.Get("_p") == "refused" {
			return &kissmetricstest.Fault{Status: http.StatusBadRequest}
		}
		return nil
	})
	server.Fail(kissmetricstest.Fault{Status: http.StatusServiceUnavailable})
	ended, stop := b.run(strict(httpSender(t, server)))
	require.NoError(t, b.Send(t.Context(), events("refused", 1)))
	require.NoError(t, b.Send(t.Context(), events("ada", 2)))
	require.NoError(t, b.Send(t.Context(), events("ada", 2)), "a repeat")
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.SendTx(t.Context(), tx, events("bob", 2)) }))
	rolledBack, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = rolledBack.Rollback(t.Context()) }() // for the pool waits for it
	require.NoError(t, b.SendTx(t.Context(), rolledBack, events("carol", 1)))
	require.NoError(t, rolledBack.Rollback(t.Context()))
	require.NoError(t, b.Flush(t.Context()))
	assert.Len(t, server.Events("ada"), 2)
	assert.Len(t, server.Events("bob"), 2)
	assert.Empty(t, server.Events("carol"))
	assert.EqualValues(t, 1, b.stats().Parked)

	server.FailWith(nil)
	for parked, err := range b.Parked(t.Context()) {
		require.NoError(t, err)
		require.NoError(t, b.Requeue(t.Context(), parked.ID))
	}
	require.NoError(t, b.Flush(t.Context()))
	assert.Len(t, server.Events("refused"), 1)
	stop()
	require.NoError(t, <-ended)
}

func TestPreparedStatementsThroughPgBouncerFailWithAdvice(t *testing.T) {
	t.Parallel()
	url := newBouncer(t, 1)
	// PgBouncer gives each the one connection that it has.
	open(t, url)
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	_, err = riverbox.New(t.Context(), pool)
	var failed *pgconn.PgError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, "42P05", failed.Code, "the statement is there already")
	require.ErrorContains(t, err, "default_query_exec_mode=exec")
	require.NoError(t, open(t, url+"&default_query_exec_mode=exec").Send(t.Context(), events("ada", 1)))
}
