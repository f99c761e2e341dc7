package trial_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

func TestALogIsReadWhileManyWriteToIt(t *testing.T) {
	var log trial.Log
	logger := slog.New(slog.NewTextHandler(&log, nil))
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() { logger.Info("a line") })
		assert.LessOrEqual(t, strings.Count(log.String(), "a line"), 8)
	}
	writers.Wait()
	assert.Equal(t, 8, strings.Count(log.String(), "a line"))
}
