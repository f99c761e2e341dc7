//go:build unix

package riverbox_test

import (
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestOthersTakeOverFromOneThatIsKilledAndOneThatIsStopped(t *testing.T) {
	t.Parallel()
	url, server := newDatabase(t), kissmetricstest.NewServer(t)
	server.FailWith(slowly)
	b := open(t, url)
	const messages = 300
	persons := b.sendMany(messages)
	var others []*process
	if !trial.Long() { // then the one that is killed is not River's leader, which others replace after 15 seconds
		others = append(others, start(t, "worker", "third", url, server.URL))
		require.Eventually(t, func() bool { return b.workedBy()["third"] > 0 }, patience, 5*time.Millisecond)
	}
	killed := start(t, "worker", "killed", url, server.URL)
	stopped := start(t, "worker", "stopped", url, server.URL)
	for _, p := range []*process{killed, stopped} {
		require.Eventually(t, func() bool { return b.workedBy()[p.name] > 0 }, patience, 5*time.Millisecond)
	}
	stopped.signal(syscall.SIGSTOP)
	killed.kill()
	inHand := b.workedBy(rivertype.JobStateRunning)
	require.Positive(t, inHand["killed"]+inHand["stopped"], "jobs are in hand")

	for len(others) < 2 {
		others = append(others, start(t, "worker", "other-"+strconv.Itoa(len(others)), url, server.URL))
	}
	b.awaitWithResignations(messages)
	assertArrived(t, server, persons)

	stopped.signal(syscall.SIGCONT)
	require.NoError(t, b.Send(t.Context(), events("afterwards", 2)))
	b.await(messages+1, rivertype.JobStateCompleted)
	for _, p := range append(others, stopped) {
		p.finish()
	}
	b.await(messages+1, rivertype.JobStateCompleted)
	assertArrived(t, server, append(persons, "afterwards"))
	assert.Zero(t, killed.cmd.ProcessState.ExitCode()+1, "it was killed")
}
