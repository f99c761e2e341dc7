package riverbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
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

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/riverbox"
)

func TestWhatIsStored(t *testing.T) {
	b := open(t, newDatabase(t))
	require.NoError(t, b.Send(t.Context(), []kissmetrics.Record{event("ada", "Signed Up", property("plan", "free")), set("ada", property("a", "1"))}))
	jobs := b.jobs(rivertype.JobStateAvailable)
	require.Len(t, jobs, 1, "one message is one job")
	assert.Equal(t, "kissmetrics_records", jobs[0].Kind)
	assert.Equal(t, "kissmetrics", jobs[0].Queue)
	assert.GreaterOrEqual(t, jobs[0].MaxAttempts, 10_000)
	var args riverbox.Args
	require.NoError(t, json.Unmarshal(jobs[0].EncodedArgs, &args))
	assert.Equal(t, 1, args.Version)
	assert.Equal(t, []string{`{"_p":"ada","_t":1700000000,"_n":"Signed Up","plan":"free"}`, `{"_p":"ada","_t":1700000000,"a":"1"}`}, args.Lines)
	assert.Regexp(t, `^[0-9a-f]{64}$`, args.Key)
	assert.Equal(t, 2, strings.Count(string(jobs[0].EncodedArgs), "ada"), "no identity is stored twice")
}

func TestAnAliasGetsTheTimeOfItsAcceptance(t *testing.T) {
	b := open(t, newDatabase(t))
	alias := kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "before", Name: "ada"}
	dated := alias
	dated.Name, dated.Time = "bob", second
	before := time.Now().Truncate(time.Second)
	records := []kissmetrics.Record{alias, dated}
	require.NoError(t, b.Send(t.Context(), records))
	assert.True(t, records[0].Time.IsZero(), "the caller's record is as it was")
	var args riverbox.Args
	require.NoError(t, json.Unmarshal(b.jobs()[0].EncodedArgs, &args))
	stored, err := args.Records()
	require.NoError(t, err)
	assert.False(t, stored[0].Time.Before(before))
	assert.False(t, stored[0].Time.After(time.Now()))
	assert.True(t, stored[1].Time.Equal(second))
}

func TestSendTx(t *testing.T) {
	b := open(t, newDatabase(t))
	_, err := b.pool.Exec(t.Context(), `CREATE TABLE orders (id text PRIMARY KEY)`)
	require.NoError(t, err)
	order := func(id string) error {
		return pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			if err := b.SendTx(t.Context(), tx, events(id, 3)); err != nil {
				return err
			}
			_, invalid := errors.AsType[*kissmetrics.ValidationError](b.SendTx(t.Context(), tx, []kissmetrics.Record{{}}))
			assert.True(t, invalid, "an invalid message is refused, and the transaction goes on")
			_, err := tx.Exec(t.Context(), `INSERT INTO orders VALUES ($1)`, id)
			return err
		})
	}
	require.NoError(t, order("o-1"))
	require.Error(t, order("o-1"), "the order exists, so its transaction is rolled back")
	require.NoError(t, order("o-2"))
	jobs := b.jobs()
	require.Len(t, jobs, 2)
	assert.Contains(t, string(jobs[0].EncodedArgs), "o-1")
	assert.Contains(t, string(jobs[1].EncodedArgs), "o-2")

	rolledBack := errors.New("rolled back")
	require.ErrorIs(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		return errors.Join(b.SendTx(t.Context(), tx, events("o-3", 3)), rolledBack)
	}), rolledBack)
	assert.Len(t, b.jobs(), 2)
	require.NoError(t, b.Send(t.Context(), events("o-3", 3)))
	assert.Len(t, b.jobs(), 3, "what was rolled back is no repeat")

	require.ErrorIs(t, b.SendTx(t.Context(), nil, events("o-4", 1)), riverbox.ErrNotStored)
	var none *pgxpool.Tx
	require.ErrorIs(t, b.SendTx(t.Context(), none, events("o-4", 1)), riverbox.ErrNotStored)
	tx, err := b.pool.Begin(t.Context())
	require.NoError(t, err)
	require.NoError(t, tx.Rollback(t.Context()))
	require.ErrorIs(t, b.SendTx(t.Context(), tx, events("o-4", 1)), pgx.ErrTxClosed)
}

func TestARepeatIsEqualInEverything(t *testing.T) {
	t.Parallel()
	one := event("ada", "E", property("a", "1"))
	at := func(r kissmetrics.Record, when time.Time) kissmetrics.Record { r.Time = when; return r }
	alias := kissmetrics.NewAlias("before", "ada", time.Time{})
	url := newDatabase(t)
	var queues atomic.Int64
	for name, test := range map[string]struct {
		first, second []kissmetrics.Record
		repeat        bool
	}{
		"the same":                     {[]kissmetrics.Record{one}, []kissmetrics.Record{one}, true},
		"another part of the second":   {[]kissmetrics.Record{one}, []kissmetrics.Record{at(one, second.Add(time.Second-1))}, true},
		"another case":                 {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ADA", "e", property("A", "1"))}, true},
		"another value of an event":    {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "E", property("a", "2"))}, false},
		"a value in another case":      {[]kissmetrics.Record{event("ada", "E", property("a", "x"))}, []kissmetrics.Record{event("ada", "E", property("a", "X"))}, false},
		"another second":               {[]kissmetrics.Record{one}, []kissmetrics.Record{at(one, second.Add(time.Second))}, false},
		"another person":               {[]kissmetrics.Record{one}, []kissmetrics.Record{event("bob", "E", property("a", "1"))}, false},
		"another name":                 {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "F", property("a", "1"))}, false},
		"another property of an event": {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "E", property("b", "1"))}, false},
		"another value of a property":  {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("a", "2"))}, false},
		"another property":             {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("b", "1"))}, false},
		"one more property":            {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("a", "1"), property("b", "1"))}, false},
		"an event and a property":      {[]kissmetrics.Record{event("ada", "E")}, []kissmetrics.Record{set("ada", property("E", ""))}, false},
		"one more record":              {[]kissmetrics.Record{one}, []kissmetrics.Record{one, set("ada", property("b", "1"))}, false},
		"names that join to the same":  {[]kissmetrics.Record{event("ab", "c")}, []kissmetrics.Record{event("a", "bc")}, false},
		"an alias without a time":      {[]kissmetrics.Record{alias}, []kissmetrics.Record{alias}, true},
		"an alias the other way round": {[]kissmetrics.Record{alias}, []kissmetrics.Record{kissmetrics.NewAlias("ada", "before", time.Time{})}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, url, riverbox.WithQueueName("queue"+strconv.FormatInt(queues.Add(1), 10)))
			require.NoError(t, b.Send(t.Context(), test.first))
			require.NoError(t, b.Send(t.Context(), test.second))
			want := 2
			if test.repeat {
				want = 1
			}
			assert.EqualValues(t, want, b.stats().WaitingMessages)
		})
	}
	t.Run("another queue", func(t *testing.T) {
		t.Parallel()
		url := newDatabase(t)
		for _, b := range []*box{open(t, url), open(t, url, riverbox.WithQueueName("other")), open(t, url, riverbox.WithQueueName("other"))} {
			require.NoError(t, b.Send(t.Context(), events("ada", 2)))
		}
		assert.Len(t, open(t, url).jobs(), 2)
	})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	b := open(t, newDatabase(t))
	_, err := riverbox.New(t.Context(), nil, nil, riverbox.WithQueueName(""), riverbox.WithWorkers(0), riverbox.WithBackoff(2, 1),
		riverbox.WithLogger(nil), riverbox.WithClient(b.client), riverbox.WithSchema("another"))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, want := range []string{
		"the pool is nil", "an option is nil", "is not the name of a queue", "WithWorkers", "WithBackoff", "WithLogger", "is not the schema of the client",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestTablesOfAnotherSchema(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	b := open(t, url)
	_, err := riverbox.New(t.Context(), b.pool, riverbox.WithSchema("elsewhere"))
	require.ErrorContains(t, err, "run its migrations")
	_, err = b.pool.Exec(t.Context(), `CREATE SCHEMA elsewhere`)
	require.NoError(t, err)
	migrator, err := rivermigrate.New(riverpgxv5.New(b.pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler), Schema: "elsewhere"})
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(t, err)
	other := open(t, url, riverbox.WithSchema("elsewhere"))
	require.NoError(t, other.Send(t.Context(), events("ada", 2)))
	assert.EqualValues(t, 2, other.stats().Waiting)
	assert.Zero(t, b.stats().Waiting)
	next := &kissmetricstest.Recorder{}
	other.run(next)
	require.NoError(t, other.Flush(t.Context()))
	assert.Len(t, next.Records(), 2)
	_, err = riverbox.New(t.Context(), b.pool, riverbox.WithSchema(`a "schema"`))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
}

func TestJobsAreInsertedByTheProgramsOwnClient(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	b := open(t, url)
	inserted := 0
	client, err := river.NewClient(riverpgxv5.New(b.pool), &river.Config{
		Logger: slog.New(slog.DiscardHandler),
		Hooks: []rivertype.Hook{river.HookInsertBeginFunc(func(context.Context, *rivertype.JobInsertParams) error {
			inserted++
			return nil
		})},
	})
	require.NoError(t, err)
	require.NoError(t, open(t, url, riverbox.WithClient(client)).Send(t.Context(), events("ada", 1)))
	assert.Equal(t, 1, inserted)
}

// What New says of a name is what River says when a job is inserted.
func TestQueueNames(t *testing.T) {
	b := open(t, newDatabase(t))
	for _, name := range []string{
		"kissmetrics", "a", "0", "a-b_c", "a--b", "a_-b", "-a", "a-", "_", "", "A", "ü", "a b", "a.b",
		strings.Repeat("a", 64), strings.Repeat("a", 65),
	} {
		_, err := riverbox.New(t.Context(), b.pool, riverbox.WithQueueName(name))
		if err != nil {
			require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, "%q", name)
		}
		if name == "" {
			assert.Error(t, err) // River would take it for its own default
			continue
		}
		_, refused := b.client.Insert(t.Context(), riverbox.Args{Key: name}, &river.InsertOpts{Queue: name})
		assert.Equal(t, refused != nil, err != nil, "%q: %v, but River: %v", name, err, refused)
	}
}

func TestNoContextIsNoPanic(t *testing.T) {
	b := open(t, newDatabase(t))
	var none context.Context
	require.NoError(t, b.Send(none, events("ada", 1)))
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error { return b.SendTx(none, tx, events("bob", 1)) }))
	assert.Len(t, b.jobs(), 2)
}
