//go:build unix

package natsbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/natsbox"
)

// relayProcess returns what makes a process a relay.
func relayProcess(t testing.TB, servers *cluster, tracking *kissmetricstest.Server, replicas int) string {
	t.Helper()
	argument, err := json.Marshal(relayArguments{servers.url(), tracking.URL, replicas, time.Second})
	require.NoError(t, err)
	return "relay " + string(argument)
}

// A load is producers that send until they are stopped.
type load struct {
	accepted atomic.Int64 // messages for which Send returned nil
	failed   atomic.Int64
	next     atomic.Int64

	mu      sync.Mutex
	persons []string // of the accepted
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// startLoad starts producers, each with a connection of its own. Every message
// is an event and a property. When a Send fails, its producer goes on with the
// next message; what failed may arrive or not.
func startLoad(t testing.TB, servers *cluster, producers, replicas int) *load {
	t.Helper()
	l := &load{}
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for range producers {
		sender, err := natsbox.New(t.Context(), servers.jetStream(t), natsbox.WithReplicas(replicas), natsbox.WithSyncUnchecked(),
			natsbox.WithAckWait(time.Second))
		require.NoError(t, err)
		l.running.Go(func() {
			for ctx.Err() == nil {
				person := fmt.Sprintf("person-%d", l.next.Add(1))
				at := second
				err := sender.Send(ctx, []kissmetrics.Record{
					{Kind: kissmetrics.KindEvent, Person: person, Name: "Ordered", Time: at},
					properties(person, at.Add(time.Second), "sku"),
				})
				if err != nil {
					l.failed.Add(1)
					continue
				}
				l.accepted.Add(1)
				l.mu.Lock()
				l.persons = append(l.persons, person)
				l.mu.Unlock()
				select { // as busy as many, and no more than the machine can take
				case <-time.After(2 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		})
	}
	t.Cleanup(l.stop)
	return l
}

func (l *load) stop() {
	l.cancel()
	l.running.Wait()
}

// waitForMore waits until more messages are accepted.
func (l *load) waitForMore(t testing.TB, more int64) {
	t.Helper()
	want := l.accepted.Load() + more
	require.Eventually(t, func() bool { return l.accepted.Load() >= want }, 60*time.Second, time.Millisecond, "nothing is accepted any more")
}

// requireAllArrived stops the load, and requires that everything accepted has
// arrived, and counts once.
func (l *load) requireAllArrived(t testing.TB, sender *natsbox.Sender, tracking *kissmetricstest.Server) {
	t.Helper()
	l.stop()
	require.Eventually(t, func() bool {
		stats, err := sender.Stats(context.Background())
		return err == nil && stats.Waiting == 0
	}, 90*time.Second, 20*time.Millisecond, "messages still wait")
	for _, person := range l.persons {
		require.Len(t, tracking.Events(person), 1, "the event of %s", person)
		require.Len(t, tracking.History(person, "sku"), 1, "the property of %s", person)
	}
	for _, ignored := range tracking.Ignored() {
		require.Contains(t, []kissmetricstest.Reason{kissmetricstest.ReasonDuplicateEvent, kissmetricstest.ReasonDuplicateValue}, ignored.Reason)
	}
	assert.Zero(t, stats(t, sender).Parked)
	t.Logf("%d messages accepted, %d sends failed, %d requests, %d of them or their properties ignored as duplicates",
		len(l.persons), l.failed.Load(), len(tracking.Requests()), len(tracking.Ignored()))
}

func TestNothingAcceptedIsLostWhenProcessesAreKilled(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	js := servers.jetStream(t)
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 256<<20, natsbox.WithReplicas(1), natsbox.WithAckWait(time.Second)))
	sender, err := natsbox.New(t.Context(), js, natsbox.WithReplicas(1), natsbox.WithSystemConn(servers.connectSystem(t)))
	require.NoError(t, err)
	tracking := kissmetricstest.NewServer(t)
	dice := trial.NewDice(t)
	tracking.FailWith(func(*http.Request) *kissmetricstest.Fault { // a third goes wrong, half of that after it counted
		switch dice.Below(6) {
		case 0:
			return &kissmetricstest.Fault{Status: http.StatusServiceUnavailable}
		case 1:
			return &kissmetricstest.Fault{Cut: kissmetricstest.CutHalf, Recorded: true}
		}
		return nil
	})
	relays := []*process{
		newProcess(t, relayProcess(t, servers, tracking, 1)),
		newProcess(t, relayProcess(t, servers, tracking, 1)),
	}
	l := startLoad(t, servers, 4, 1)
	for round := range trial.Rounds(5, 40) {
		l.waitForMore(t, int64(1+dice.Below(20))) // a random moment, with something under way
		victims := []*process{servers.nodes["n1"], relays[round/2%2]}
		if round%10 > 0 { // one of them, or every tenth time both at once
			victims = victims[round%2 : round%2+1]
		}
		for _, victim := range victims {
			victim.kill()
		}
		for _, victim := range victims {
			require.NoError(t, victim.start())
		}
	}
	l.requireAllArrived(t, sender, tracking)
}

func TestAClusterLosesNothingAndGoesOnWhenItsNodesAreKilled(t *testing.T) {
	t.Parallel()
	servers := startCluster(t, 3, syncAlways)
	js := servers.jetStream(t)
	require.Eventually(t, func() bool {
		return natsbox.CreateStreams(context.Background(), js, 128<<20, natsbox.WithAckWait(time.Second)) == nil
	}, 60*time.Second, 100*time.Millisecond, "the cluster has no leader")
	var sender *natsbox.Sender
	system := servers.connectSystem(t)
	require.Eventually(t, func() bool {
		var err error
		sender, err = natsbox.New(context.Background(), js, natsbox.WithSystemConn(system))
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	requireFullInACluster(t, js)
	tracking := kissmetricstest.NewServer(t)
	newProcess(t, relayProcess(t, servers, tracking, 3))
	newProcess(t, relayProcess(t, servers, tracking, 3))
	l := startLoad(t, servers, 2, 3)
	goesOn := func() {
		t.Helper()
		l.waitForMore(t, 20)
		arrived := len(tracking.Requests())
		require.Eventually(t, func() bool { return len(tracking.Requests()) > arrived+20 }, 60*time.Second, 5*time.Millisecond, "nothing is delivered any more")
	}
	goesOn()

	victims := []string{"n1", "n2", "n3"}
	if !trial.Long() {
		leader := leader(t, js) // whose turn comes below
		victims = slices.DeleteFunc(victims, func(name string) bool { return name == leader })[:1]
	}
	for _, name := range victims {
		t.Logf("killing %s", name)
		servers.nodes[name].kill()
		goesOn()
		require.NoError(t, servers.nodes[name].start())
		requireWhole(t, js)
	}

	hung := leader(t, js)
	t.Logf("stopping %s, the leader", hung)
	servers.nodes[hung].signal(t, syscall.SIGSTOP)
	require.Eventually(t, func() bool { l := leaderNow(js); return l != "" && l != hung }, 60*time.Second, 50*time.Millisecond, "no other leader")
	goesOn()
	servers.nodes[hung].signal(t, syscall.SIGCONT)
	requireWhole(t, js)
	goesOn()
	l.requireAllArrived(t, sender, tracking)
}

// requireFullInACluster requires that a stream of three replicas that is full says
// so, which a cluster finds out in another way than one server does.
func requireFullInACluster(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	small := natsbox.WithStream("SMALL")
	require.NoError(t, natsbox.CreateStreams(t.Context(), js, 4096, small))
	sender, err := natsbox.New(t.Context(), js, small, natsbox.WithSyncUnchecked())
	require.NoError(t, err)
	accepted := 0
	for ; err == nil; accepted++ {
		require.Less(t, accepted, 1000)
		err = sender.Send(t.Context(), []kissmetrics.Record{event(accepted)})
	}
	require.ErrorIs(t, err, natsbox.ErrFull)
	assert.EqualValues(t, accepted-1, stats(t, sender).Waiting)
}

// A relay that hangs with its process is taken over, and does no harm when it goes
// on.
func TestAStoppedRelayIsTakenOverAndDoesNoHarmWhenRevived(t *testing.T) {
	t.Parallel()
	servers := startServer(t, "")
	sender := newSender(t, servers.jetStream(t), natsbox.WithAckWait(time.Second))
	tracking := kissmetricstest.NewServer(t)
	taken, release := make(chan struct{}, 16), make(chan struct{})
	tracking.FailWith(func(*http.Request) *kissmetricstest.Fault {
		taken <- struct{}{}
		<-release
		return nil
	})
	stopped := newProcess(t, relayProcess(t, servers, tracking, 1))
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(1)}))
	<-taken
	stopped.signal(t, syscall.SIGSTOP)
	startRelay(t, sender, httpSender(t, tracking))
	<-taken // by the other
	close(release)
	requireDrained(t, sender)
	stopped.signal(t, syscall.SIGCONT)
	require.NoError(t, sender.Send(t.Context(), []kissmetrics.Record{event(2)}))
	requireDrained(t, sender)
	for i := 1; i <= 2; i++ {
		assert.Len(t, tracking.Events(fmt.Sprintf("user-%d", i)), 1)
	}
	assert.Zero(t, stats(t, sender).Parked)
}

// leaderNow returns the leader of the stream, or nothing.
func leaderNow(js jetstream.JetStream) string {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, "KISSMETRICS")
	if err != nil || stream.CachedInfo().Cluster == nil {
		return ""
	}
	return stream.CachedInfo().Cluster.Leader
}

func leader(t testing.TB, js jetstream.JetStream) (name string) {
	t.Helper()
	require.Eventually(t, func() bool { name = leaderNow(js); return name != "" }, 60*time.Second, 50*time.Millisecond)
	return name
}

// requireWhole waits until all replicas of the stream have everything.
func requireWhole(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		stream, err := js.Stream(ctx, "KISSMETRICS")
		if err != nil || stream.CachedInfo().Cluster.Leader == "" || len(stream.CachedInfo().Cluster.Replicas) != 2 {
			return false
		}
		for _, replica := range stream.CachedInfo().Cluster.Replicas {
			if !replica.Current || replica.Offline {
				return false
			}
		}
		return true
	}, 60*time.Second, 50*time.Millisecond, "a replica is not current")
}
