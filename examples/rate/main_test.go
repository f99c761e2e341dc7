package main

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheRateClimbsFallsAndClimbsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)))
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out))
		t.Log(out.String())

		var rates, underWay []int
		for _, line := range regexp.MustCompile(`(\d+) a second, +(\d+) requests`).FindAllStringSubmatch(out.String(), -1) {
			rate, _ := strconv.Atoi(line[1])
			way, _ := strconv.Atoi(line[2])
			rates, underWay = append(rates, rate), append(underWay, way)
		}
		require.Len(t, rates, 24)
		assert.Greater(t, rates[3], 3000, "8 at a time would be 160")
		assert.InDelta(t, 400, rates[9], 60, "20 at a time, each for 50 ms")
		assert.Less(t, underWay[9], underWay[3]/2, "the server is not pressed")
		assert.Greater(t, rates[23], 3000)
		assert.True(t, strings.HasSuffix(out.String(), " 0 lost\n"))
	})
}
