package natsbox_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/natsbox"
	"github.com/kissmetrics-go/kissmetrics/outboxtest"
)

// TestConformance runs the suite of every durable sender. The limit of a stream is
// one of bytes, so the suite's limit of records is not tried; there is
// TestAFullStreamRefusesAndKeepsWhatItHas.
func TestConformance(t *testing.T) {
	t.Parallel()
	servers := startServer(t, syncAlways)
	streams := 0
	outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*natsbox.Sender] {
		streams++
		name := natsbox.WithStream("s" + strconv.Itoa(streams))
		require.NoError(t, natsbox.CreateStreams(t.Context(), servers.jetStream(t), 1<<20, single(name)...))
		return outboxtest.Storage[*natsbox.Sender]{
			ErrNotParked: natsbox.ErrNotParked,
			Open: func(t *testing.T, _ int) *natsbox.Sender {
				patient := natsbox.WithAttemptTimeout(time.Minute) // a machine may be busy
				sender, err := natsbox.New(t.Context(), servers.jetStream(t), single(name, patient)...)
				require.NoError(t, err)
				return sender
			},
		}
	})
}
