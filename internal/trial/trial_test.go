package trial

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// set sets a flag until the test ends.
func set(t *testing.T, name, value string) {
	t.Helper()
	before := flag.Lookup(name).Value.String()
	require.NoError(t, flag.Set(name, value))
	t.Cleanup(func() { assert.NoError(t, flag.Set(name, before)) })
}

func TestDiceOfOneSeedDrawTheSame(t *testing.T) {
	set(t, "seed", "17")
	a, b := NewDice(t), NewDice(t)
	for range 100 {
		assert.Equal(t, a.Below(1000), b.Below(1000))
		assert.Equal(t, a.UpTo(time.Hour), b.UpTo(time.Hour))
	}
}

func TestDiceWithoutASeedDiffer(t *testing.T) {
	set(t, "seed", "0")
	assert.NotEqual(t, NewDice(t).UpTo(1<<62), NewDice(t).UpTo(1<<62))
}

func TestALongTestHasMoreRounds(t *testing.T) {
	set(t, "long", "false")
	set(t, "test.short", "false")
	assert.Equal(t, 3, Rounds(3, 40))
	set(t, "test.short", "true")
	assert.Equal(t, 1, Rounds(3, 40))
	assert.Equal(t, 1, Rounds(1, 40))
	set(t, "long", "true")
	assert.True(t, Long())
	assert.Equal(t, 40, Rounds(3, 40))
	set(t, "rounds", "2000")
	assert.Equal(t, 2000, Rounds(3, 40))
}

func TestParallelIsTheFlagOfTheTests(t *testing.T) {
	set(t, "test.parallel", "1")
	Parallel(7)
	assert.Equal(t, "7", flag.Lookup("test.parallel").Value.String())
}
