package riverbox_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// slowly answers every request, and after a while.
func slowly(*http.Request) *kissmetricstest.Fault {
	return &kissmetricstest.Fault{Delay: 20 * time.Millisecond}
}

// sendMany sends messages of two records, and returns their persons.
func (b *box) sendMany(n int) (persons []string) {
	b.t.Helper()
	for i := range n {
		person := "person-" + strconv.Itoa(i)
		persons = append(persons, person)
		require.NoError(b.t, b.Send(b.t.Context(), events(person, 2)))
	}
	return persons
}

// assertArrived asserts that each message of two records has arrived, once after
// Kissmetrics' duplicate rule.
func assertArrived(t *testing.T, server *kissmetricstest.Server, persons []string) {
	t.Helper()
	for _, person := range persons {
		arrived := server.Events(person)
		if assert.Len(t, arrived, 2, person) {
			assert.ElementsMatch(t, []string{"Event 0", "Event 1"}, []string{arrived[0].Name, arrived[1].Name})
		}
	}
}

// workedBy counts the jobs that each client had in hand, at any time.
func (b *box) workedBy(states ...rivertype.JobState) map[string]int {
	count := make(map[string]int)
	for _, job := range b.jobs(states...) {
		if len(job.AttemptedBy) > 0 {
			count[job.AttemptedBy[len(job.AttemptedBy)-1]]++
		}
	}
	return count
}

func TestFourProcessesDeliverEachRecordOnce(t *testing.T) {
	t.Parallel()
	url, server := newDatabase(t), kissmetricstest.NewServer(t)
	server.FailWith(slowly)
	b := open(t, url)
	const messages = 200
	persons := b.sendMany(messages / 2)
	var workers []*process
	for i := range 4 {
		workers = append(workers, start(t, "worker", "worker-"+strconv.Itoa(i), url, server.URL))
	}
	more := make([]string, messages/2) // while they work
	for i := range more {
		more[i] = "later-" + strconv.Itoa(i)
		require.NoError(t, b.Send(t.Context(), events(more[i], 2)))
	}
	b.await(messages, rivertype.JobStateCompleted)
	worked := b.workedBy()
	for _, w := range workers {
		w.finish()
		assert.Positive(t, worked[w.name], "%s had work to do", w.name)
	}
	assertArrived(t, server, append(persons, more...))
	assert.Len(t, server.Requests(), 2*messages, "no record was sent twice")
	assert.Empty(t, server.Ignored())
}

// awaitWithResignations waits until all jobs are completed, as long as some are.
// River looks for stuck jobs every 30 seconds, and when a leader is elected: this
// asks for elections, so as not to take that long, and each time for fewer. What a
// leader does, it begins one after the other, each up to a second after the last, and
// an election ends it: on a busy machine none came to schedule many jobs that had
// been rescued, if there was an election every two seconds.
func (b *box) awaitWithResignations(count int) {
	b.t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	most, went, asked, every := 0, time.Now(), time.Now(), rescueAfter
	for {
		completed, all := b.count(rivertype.JobStateCompleted)
		if completed >= count && completed == all {
			return
		}
		if completed > most {
			most, went = completed, time.Now()
		}
		require.Less(b.t, time.Since(went), patience, "%d of %d jobs are completed, and no more", completed, all)
		if time.Since(asked) > every {
			asked, every = time.Now(), 2*every
			_ = b.client.Notify().RequestResign(b.t.Context())
		}
		<-look.C
	}
}

// TestCrashes kills the database, a worker and the sender, at random moments and
// under load, while the server fails a third of the requests.
func TestCrashes(t *testing.T) {
	t.Parallel()
	n, dice := trial.Rounds(3, 12), trial.NewDice(t)
	cluster, server := newCluster(t), kissmetricstest.NewServer(t)
	server.FailWith(func(*http.Request) *kissmetricstest.Fault {
		switch dice.Below(9) {
		case 0:
			return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
		case 1:
			return &kissmetricstest.Fault{Cut: kissmetricstest.CutReset, Recorded: true}
		case 2:
			return &kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: true}
		}
		return nil
	})
	url := cluster.URL("river")
	worker := start(t, "worker", "worker-0", url, server.URL)
	other := start(t, "worker", "other", url, server.URL)
	sender := start(t, "sender", "sender-0", url, server.URL)
	senders := []*process{sender}
	for i := 1; i <= n; i++ {
		sender.awaitLines(len(sender.printed()) + 1 + dice.Below(40))
		switch i % 3 {
		case 0:
			sender.kill()
			sender = start(t, "sender", "sender-"+strconv.Itoa(i), url, server.URL)
			senders = append(senders, sender)
		case 1:
			require.NoError(t, cluster.Kill(t.Context()))
			require.NoError(t, cluster.Restart(t.Context()))
		case 2:
			worker.kill()
			worker = start(t, "worker", "worker-"+strconv.Itoa(i), url, server.URL)
		}
	}
	sender.finish()
	var accepted []string
	for _, s := range senders {
		accepted = append(accepted, s.printed()...)
	}
	b := open(t, url)
	b.awaitWithResignations(len(accepted))
	worker.finish()
	other.finish()
	assertArrived(t, server, accepted)
	for _, dropped := range server.Ignored() {
		assert.Equal(t, kissmetricstest.ReasonDuplicateEvent, dropped.Reason)
	}
	t.Logf("%d kills, %d messages accepted, %d requests", n, len(accepted), len(server.Requests()))
}
