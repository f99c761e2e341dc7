package riverbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
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

func TestARepeatIsWhatKissmetricsIgnores(t *testing.T) {
	one := event("ada", "E", property("a", "1"))
	later := one
	later.Time = second.Add(time.Second)
	sameSecond := one
	sameSecond.Time = second.Add(time.Second - 1)
	alias := kissmetrics.Record{Kind: kissmetrics.KindAlias, Person: "before", Name: "ada"}
	laterAlias := alias
	laterAlias.Time = later.Time
	for name, test := range map[string]struct {
		first, second []kissmetrics.Record
		repeat        bool
	}{
		"the same":                       {[]kissmetrics.Record{one}, []kissmetrics.Record{one}, true},
		"another value":                  {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "E", property("a", "2"))}, true},
		"the same second":                {[]kissmetrics.Record{one}, []kissmetrics.Record{sameSecond}, true},
		"another second":                 {[]kissmetrics.Record{one}, []kissmetrics.Record{later}, false},
		"another person":                 {[]kissmetrics.Record{one}, []kissmetrics.Record{event("bob", "E", property("a", "1"))}, false},
		"another name":                   {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "F", property("a", "1"))}, false},
		"another property of an event":   {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "E", property("b", "1"))}, false},
		"another value of a property":    {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("a", "2"))}, true},
		"another property":               {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("b", "1"))}, false},
		"one more property":              {[]kissmetrics.Record{set("ada", property("a", "1"))}, []kissmetrics.Record{set("ada", property("a", "1"), property("b", "1"))}, false},
		"an event and a property":        {[]kissmetrics.Record{event("ada", "E")}, []kissmetrics.Record{set("ada", property("E", ""))}, false},
		"one more record":                {[]kissmetrics.Record{one}, []kissmetrics.Record{one, set("ada", property("b", "1"))}, false},
		"names that join to the same":    {[]kissmetrics.Record{event("ab", "c")}, []kissmetrics.Record{event("a", "bc")}, false},
		"an alias, whenever":             {[]kissmetrics.Record{alias}, []kissmetrics.Record{laterAlias}, true},
		"an alias the other way round":   {[]kissmetrics.Record{alias}, []kissmetrics.Record{{Kind: kissmetrics.KindAlias, Person: "ada", Name: "before"}}, false},
		"what is spelled in another way": {[]kissmetrics.Record{one}, []kissmetrics.Record{event("ada", "e", property("a", "1"))}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := open(t, newDatabase(t))
			require.NoError(t, b.Send(t.Context(), test.first))
			require.NoError(t, b.Send(t.Context(), test.second))
			want := 2
			if test.repeat {
				want = 1
			}
			assert.Len(t, b.jobs(), want)
			if !test.repeat || test.first[0].Kind == kissmetrics.KindAlias {
				return
			}
			// What is skipped, Kissmetrics would have ignored too.
			server := kissmetricstest.NewServer(t)
			sender := httpSender(t, server)
			require.NoError(t, sender.Send(t.Context(), test.first))
			require.NoError(t, sender.Send(t.Context(), test.second))
			assert.NotEmpty(t, server.Ignored())
		})
	}
	t.Run("another queue", func(t *testing.T) {
		url := newDatabase(t)
		for _, b := range []*box{open(t, url), open(t, url, riverbox.WithQueueName("other")), open(t, url, riverbox.WithQueueName("other"))} {
			require.NoError(t, b.Send(t.Context(), events("ada", 2)))
		}
		assert.Len(t, open(t, url).jobs(), 2)
	})
}

func TestOptions(t *testing.T) {
	_, err := riverbox.New(nil, nil, riverbox.WithQueueName(""))
	require.ErrorIs(t, err, riverbox.ErrInvalidOption)
	for _, want := range []string{"the client is nil", "an option is nil", "is not the name of a queue"} {
		assert.ErrorContains(t, err, want)
	}
}

// What New says of a name is what River says when a job is inserted.
func TestQueueNames(t *testing.T) {
	b := open(t, newDatabase(t))
	for _, name := range []string{
		"kissmetrics", "a", "0", "a-b_c", "a--b", "a_-b", "-a", "a-", "_", "", "A", "ü", "a b", "a.b",
		strings.Repeat("a", 64), strings.Repeat("a", 65),
	} {
		_, err := riverbox.New(b.client, riverbox.WithQueueName(name))
		if err != nil {
			require.ErrorIs(t, err, riverbox.ErrInvalidOption, "%q", name)
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

func TestTheDatabaseAwayForAWhile(t *testing.T) {
	t.Parallel()
	cluster, next := newCluster(t), &kissmetricstest.Recorder{}
	b := open(t, cluster.URL("river"))
	b.deliver(next)
	require.NoError(t, b.Send(t.Context(), events("before", 2)))
	b.await(1, rivertype.JobStateCompleted)
	require.NoError(t, cluster.Kill(t.Context()))

	for range 3 {
		err := b.Send(t.Context(), []kissmetrics.Record{event("ada-s3cret", "E", property("a", "s3cret"))})
		require.ErrorIs(t, err, riverbox.ErrNotStored)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	require.NoError(t, cluster.Restart(t.Context()))
	require.Eventually(t, func() bool { return b.Send(t.Context(), events("after", 2)) == nil }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return len(next.Records()) == 4 }, patience, 10*time.Millisecond, "the relay recovers by itself")
	assert.Equal(t, "after", next.Records()[3].Person)
}
