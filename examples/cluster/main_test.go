package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		if err := beChild(child, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func TestNothingGoesMissingWhenProcessesAreKilled(t *testing.T) {
	victims := everybody[:3] // one of each kind
	if trial.Long() {
		victims = everybody
	}
	var out strings.Builder
	require.NoError(t, run(t.Context(), victims, &out), "%s", &out)
	for _, victim := range victims {
		assert.Contains(t, out.String(), "killing "+victim)
		assert.Equal(t, 2, strings.Count(out.String(), fmt.Sprintf("%-10s is process", victim)), "%s is started again", victim)
	}
	assert.Regexp(t, `accepted and arrived: [1-9]\d+; missing or counted twice: 0\n$`, out.String())
}
