package riverbox_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/postgres"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

// patience is how long a test waits for what must happen in the end.
const patience = 90 * time.Second

var (
	shared    *postgres.Cluster // for all tests that do not kill it
	sharedErr error
	databases atomic.Int64
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(child(role))
	}
	trial.Parallel(8) // they mostly wait
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	ctx := context.Background()
	if shared, sharedErr = postgres.Start(ctx); sharedErr == nil {
		sharedErr = migrate(ctx, shared, "template")
	}
	if sharedErr != nil {
		_ = flag.Set("test.skip", "^Example") // an example cannot say that it was skipped
	}
	code = m.Run()
	if shared != nil {
		if err := shared.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// migrate makes a database with River's tables.
func migrate(ctx context.Context, cluster *postgres.Cluster, name string) error {
	if err := execute(ctx, cluster, "CREATE DATABASE "+name); err != nil {
		return err
	}
	pool, err := pgxpool.New(ctx, cluster.URL(name))
	if err != nil {
		return err
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func execute(ctx context.Context, cluster *postgres.Cluster, sql string) error {
	conn, err := pgx.Connect(ctx, cluster.URL("postgres"))
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	_, err = conn.Exec(ctx, sql)
	return err
}

// templating is held while a database is copied, which PostgreSQL allows one
// connection at a time.
var templating sync.Mutex

// newDatabase returns the URL of a database of the test's own, with River's
// tables.
func newDatabase(t testing.TB) string {
	t.Helper()
	needPostgres(t)
	templating.Lock()
	defer templating.Unlock()
	name := "test" + strconv.FormatInt(databases.Add(1), 10)
	require.NoError(t, execute(t.Context(), shared, "CREATE DATABASE "+name+" TEMPLATE template"))
	return shared.URL(name)
}

// newCluster returns a cluster that the test may kill.
func newCluster(t testing.TB) *postgres.Cluster {
	t.Helper()
	needPostgres(t)
	cluster, err := postgres.Start(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, cluster.Remove()) })
	require.NoError(t, migrate(t.Context(), cluster, "river"))
	return cluster
}

func needPostgres(t testing.TB) {
	t.Helper()
	if sharedErr == postgres.ErrNotInstalled { //nolint:errorlint // not wrapped
		t.Skip(sharedErr)
	}
	require.NoError(t, sharedErr)
}

// box is a sender and what it needs.
type box struct {
	*riverbox.Sender

	t      testing.TB
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx] // inserts only
}

// open opens a database until the test ends.
func open(t testing.TB, url string, options ...riverbox.Option) *box {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	impatient := riverbox.WithBackoff(2*time.Millisecond, 5*time.Minute)
	sender, err := riverbox.New(t.Context(), pool, append([]riverbox.Option{impatient}, options...)...)
	require.NoError(t, err)
	return &box{sender, t, pool, client}
}

// config is how tests configure River: as users do, only more impatient.
func config(worker river.Worker[riverbox.Args]) *river.Config {
	workers := river.NewWorkers()
	river.AddWorker(workers, worker)
	return &river.Config{
		Queues:                      map[string]river.QueueConfig{riverbox.Queue: {MaxWorkers: 8}},
		Workers:                     workers,
		CancelledJobRetentionPeriod: -1,
		FetchCooldown:               5 * time.Millisecond,
		FetchPollInterval:           20 * time.Millisecond,
		Logger:                      slog.New(slog.DiscardHandler),
	}
}

// work works the jobs of a database until stop is called, or the test ends.
func (b *box) work(c *river.Config) (client *river.Client[pgx.Tx], stop func()) {
	b.t.Helper()
	client, err := river.NewClient(riverpgxv5.New(b.pool), c)
	require.NoError(b.t, err)
	ctx := context.WithoutCancel(b.t.Context())
	require.NoError(b.t, client.Start(ctx))
	stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		assert.NoError(b.t, client.StopAndCancel(ctx))
	})
	b.t.Cleanup(stop)
	return client, stop
}

// deliver works the jobs until the test ends.
func (b *box) deliver(next kissmetrics.Sender) {
	b.t.Helper()
	b.work(config(riverbox.NewWorker(b.Sender, next)))
}

// run runs a relay until the test ends, or stop is called, and tells how it ended.
func (b *box) run(next kissmetrics.Sender) (ended <-chan error, stop func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	result := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { result <- b.Run(ctx, next) })
	stop = func() {
		cancel()
		running.Wait()
	}
	b.t.Cleanup(stop)
	return result, stop
}

func (b *box) stats() riverbox.Stats {
	b.t.Helper()
	stats, err := b.Stats(b.t.Context())
	require.NoError(b.t, err)
	return stats
}

// jobs returns the jobs that are in one of the states, or all.
func (b *box) jobs(states ...rivertype.JobState) []*rivertype.JobRow {
	b.t.Helper()
	params := river.NewJobListParams().Kinds(riverbox.Args{}.Kind()).First(10_000)
	if len(states) > 0 {
		params = params.States(states...)
	}
	list, err := b.client.JobList(b.t.Context(), params)
	require.NoError(b.t, err)
	return list.Jobs
}

// count counts the jobs that are in a state, and all.
func (b *box) count(state rivertype.JobState) (n, all int) {
	b.t.Helper()
	require.NoError(b.t, b.pool.QueryRow(b.t.Context(), `SELECT count(*) FILTER (WHERE state = $1), count(*) FROM river_job`, state).Scan(&n, &all))
	return n, all
}

// await waits until so many jobs are in a state, and returns them.
func (b *box) await(count int, state rivertype.JobState) []*rivertype.JobRow {
	b.t.Helper()
	require.Eventually(b.t, func() bool {
		n, _ := b.count(state)
		return n == count
	}, patience, 20*time.Millisecond, "%d jobs are to be %s", count, state)
	return b.jobs(state)
}

// httpSender sends to a server, without trying again.
func httpSender(t testing.TB, server *kissmetricstest.Server) *kissmetrics.HTTPSender {
	t.Helper()
	sender, err := newHTTPSender(server.URL)
	require.NoError(t, err)
	t.Cleanup(sender.CloseIdleConnections)
	return sender
}

// strict sends to a server that refuses for good what it answers 400 to.
func strict(next kissmetrics.Sender) kissmetrics.Sender {
	return senderFunc(func(ctx context.Context, records []kissmetrics.Record) error {
		err := next.Send(ctx, records)
		if failed, ok := errors.AsType[*kissmetrics.DeliveryError](err); ok && failed.Kind == kissmetrics.FailureRefused {
			failed.Refused, failed.Undelivered = append(failed.Refused, failed.Undelivered...), nil
		}
		return err
	})
}

const apiKey = "K3Y-s3cret"

func newHTTPSender(url string) (*kissmetrics.HTTPSender, error) {
	return kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(apiKey), kissmetrics.WithBaseURL(url), kissmetrics.WithTimeout(10*time.Second))
}

// second is when everything happens.
var second = time.Unix(1_700_000_000, 0).UTC()

func event(person, name string, properties ...kissmetrics.Property) kissmetrics.Record {
	return kissmetrics.Record{Kind: kissmetrics.KindEvent, Person: person, Name: name, Time: second, Properties: properties}
}

func set(person string, properties ...kissmetrics.Property) kissmetrics.Record {
	return kissmetrics.Record{Kind: kissmetrics.KindProperties, Person: person, Time: second, Properties: properties}
}

func property(name, value string) kissmetrics.Property {
	return kissmetrics.Property{Name: name, Value: value}
}

// events returns a message of so many events.
func events(person string, n int) []kissmetrics.Record {
	records := make([]kissmetrics.Record, n)
	for i := range records {
		records[i] = event(person, "Event "+strconv.Itoa(i))
	}
	return records
}
