package riverbox_test

import (
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// A role that does not own the tables needs no more rights than the package's
// documentation lists.
func TestTheRightsThatAreDocumentedAreEnough(t *testing.T) {
	t.Parallel()
	direct := newDatabase(t)
	admin := open(t, direct)
	as := func(name string, log *trial.Log, rights ...string) *box {
		role := name + "_" + strings.TrimPrefix(must(url.Parse(direct)).Path, "/")
		statements := []string{fmt.Sprintf("CREATE ROLE %s LOGIN", role)}
		for _, right := range rights {
			statements = append(statements, fmt.Sprintf("GRANT %s TO %s", right, role))
		}
		_, err := admin.pool.Exec(t.Context(), strings.Join(statements, "; "))
		require.NoError(t, err)
		u := must(url.Parse(direct))
		query := u.Query()
		query.Set("user", role)
		u.RawQuery = query.Encode()
		return open(t, u.String(), riverbox.WithLogger(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	}
	var log trial.Log
	sender := as("sender", &log, "SELECT, INSERT, UPDATE ON river_job", "USAGE ON SEQUENCE river_job_id_seq")
	relay := as("relay", &log, "SELECT, INSERT, UPDATE, DELETE ON river_job, river_leader, river_queue")
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // of a test
	}
	return v
}
