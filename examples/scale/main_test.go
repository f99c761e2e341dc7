package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	million = demand{events: 1_000_000, latency: 50 * time.Millisecond, outage: time.Hour, headroom: 2}
	machine = measured{storedOne: 5_000, storedFour: 10_000, relayed: 4_000, storedBytes: 300, requestBytes: 400}
)

func TestAPlanCarriesItsFullestPartition(t *testing.T) {
	p := makePlan(million, machine)
	require.Len(t, p.shares, p.partitions)
	sum := 0.0
	for _, share := range p.shares {
		sum += share
		assert.LessOrEqual(t, share*2_000_000, 5_000.0)
	}
	assert.InDelta(t, 1, sum, 1e-9)
	assert.Greater(t, p.partitions, 400)
	assert.Equal(t, 2, p.inCluster, "two of 5,000 are carried by what stores 10,000")
	assert.Equal(t, 3*((p.partitions+1)/2), p.servers)
	assert.LessOrEqual(t, 2_000_000*slices.Max(p.shares)*float64(p.inCluster), machine.storedFour, "a cluster carries its partitions")
	assert.Equal(t, 500, p.relays)
	assert.InDelta(t, 50_000, p.underWay, 1)
	assert.InDelta(t, 3.2e9, p.bits, 1)

	busy := machine // whose cores carry no more in four streams than in one
	busy.storedFour = 4_000
	p = makePlan(million, busy)
	assert.Equal(t, 1, p.inCluster)
	assert.Equal(t, 3*p.partitions, p.servers)
}

func TestAnOutageFillsAndDrains(t *testing.T) {
	o := simulate(million, machine, makePlan(million, machine))
	assert.InEpsilon(t, 3601*1e6*300, o.peakBytes, 0.001, "what came while Kissmetrics was away")
	assert.InEpsilon(t, time.Hour.Seconds(), o.drained.Seconds(), 0.01, "twice the rate takes as long as the outage")
	assert.Greater(t, o.peakBytesOfOne, 2*o.peakBytes/float64(makePlan(million, machine).partitions), "two partitions, one of them the fullest")
	half := million
	half.headroom = 3
	assert.InEpsilon(t, (30 * time.Minute).Seconds(), simulate(half, machine, makePlan(half, machine)).drained.Seconds(), 0.01)
}

func TestItMeasures(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), []string{"-measure", "100ms"}, &out))
	assert.NotContains(t, out.String(), "       0 ")
	assert.NotContains(t, out.String(), "NaN")
	require.Error(t, run(t.Context(), []string{"-events", "0"}, &out))
}
