package kissmetrics_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// panicking is a sender that panics with what must not be told.
type panicking struct{}

func (panicking) Send(context.Context, []kissmetrics.Record) error { panic(secretValue) }
func (panicking) Flush(context.Context) error                      { panic(secretValue) }

func TestNoPanicOfASenderReachesACaller(t *testing.T) {
	track := func(c *kissmetrics.Client, ctx context.Context) error {
		return c.Track(ctx, kissmetrics.Track{UserID: "u", Event: "e"})
	}
	for name, test := range map[string]struct {
		call    func(*kissmetrics.Client, context.Context) error
		options []kissmetrics.Option
	}{
		"a client's Track":        {track, nil},
		"a client's Flush":        {(*kissmetrics.Client).Flush, nil},
		"a client's Close":        {(*kissmetrics.Client).Close, nil},
		"a queued client's Flush": {(*kissmetrics.Client).Flush, []kissmetrics.Option{kissmetrics.WithQueue()}},
		"a queued client's Close": {(*kissmetrics.Client).Close, []kissmetrics.Option{kissmetrics.WithQueue()}},
	} {
		t.Run(name, func(t *testing.T) {
			client, err := kissmetrics.New(append(test.options, kissmetrics.WithSender(panicking{}))...)
			require.NoError(t, err)
			err = test.call(client, t.Context())
			require.ErrorIs(t, err, kissmetrics.ErrSenderPanicked)
			requireNoSecret(t, err.Error())
			_ = client.Close(t.Context())
		})
	}
}
