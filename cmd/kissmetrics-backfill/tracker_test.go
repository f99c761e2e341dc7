package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// Messages of strangers may be wrong in any number of ways.
func TestReasonsAreCountedOneByOneUpToABound(t *testing.T) {
	track := newTracker(state{})
	for range 2 {
		for i := range mostReasons + 10 {
			require.NoError(t, track.add(t.Context(), &entry{reasons: []string{fmt.Sprintf("reason %d", i), fmt.Sprintf(`property "p%d" has more than 8192 characters`, i)}}))
		}
	}
	_, s := track.take()
	assert.Len(t, s.Reasons, mostReasons+1)
	assert.EqualValues(t, 2, s.Reasons["reason 0"])
	assert.EqualValues(t, 2*(mostReasons+10), s.Reasons[`property "…" has more than 8192 characters`], "names tell no reasons apart")
	assert.EqualValues(t, 2*11, s.Reasons["other reasons"])
}

// A checkpoint is written while lines go on being settled.
func TestWhatWasTakenDoesNotChange(t *testing.T) {
	track := newTracker(state{})
	line := func() *entry { return &entry{reasons: []string{"refused"}} }
	changed := func() *entry { return &entry{adjusted: []kissmetrics.Adjustment{{Kind: kissmetrics.AdjustedTime}}} }
	for _, e := range []*entry{line(), changed()} {
		require.NoError(t, track.add(t.Context(), e))
	}
	refused, s := track.take()
	for _, e := range []*entry{line(), changed()} {
		require.NoError(t, track.add(t.Context(), e))
	}
	assert.Len(t, refused, 1)
	assert.Equal(t, map[string]int64{"refused": 1}, s.Reasons)
	assert.Equal(t, map[string]int64{"time replaced": 1}, s.Adjustments)
}

// The records of an order may be refused for several reasons.
func TestEveryReasonOfALineIsKeptOnce(t *testing.T) {
	track := newTracker(state{})
	e := &entry{left: 4}
	require.NoError(t, track.add(t.Context(), e))
	for _, reason := range []string{"", "too long", "blank", "too long"} {
		assert.False(t, track.idle())
		track.result(e, 1, reason)
	}
	assert.True(t, track.idle())
	refused, s := track.take()
	require.Len(t, refused, 1)
	assert.Equal(t, []string{"too long", "blank"}, refused[0].reasons)
	assert.Equal(t, counts{Refused: 1, Records: 1}, s.counts)
}
