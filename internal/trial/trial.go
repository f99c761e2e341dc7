// Package trial has what the tests of all modules share: a flag that makes them
// long, and dice whose seed can be given again. Only tests may import it.
//
//	go test . -long
//	go test -run Stress . -seed 17
package trial

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"
)

var (
	long   = flag.Bool("long", false, "take the time for more rounds, as CI does")
	rounds = flag.Int("rounds", 0, "how many rounds the tests have that come in rounds; 0 for what -long says")
	seed   = flag.Uint64("seed", 0, "what the dice of the tests draw from; 0 for a new seed")
)

// Long reports whether the tests are to take their time. CI asks for it, in its step
// of the long rounds. By default each kind of thing is still tried once.
func Long() bool { return *long }

// Rounds returns how many rounds a test has: few by default, half of these in a short
// test, more where it is to take its time, or as many as -rounds says.
func Rounds(few, more int) int {
	switch {
	case *rounds > 0:
		return *rounds
	case Long():
		return more
	case testing.Short():
		return max(1, few/2)
	}
	return few
}

// Parallel lets n tests of a package that mostly wait run at once, unless the caller
// of the tests says how many. It is for TestMain.
func Parallel(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err) // the tests have no such flag
	}
}

// Dice draw for many goroutines at once.
type Dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

// NewDice returns dice, and logs the flag that has them draw the same again.
func NewDice(t testing.TB) *Dice {
	t.Helper()
	n := *seed
	for n == 0 {
		n = rand.Uint64() //nolint:gosec // no secret
	}
	t.Logf("repeat with -seed %d", n)
	return &Dice{r: rand.New(rand.NewPCG(n, 0))} //nolint:gosec // it is to be repeated
}

// Below draws one of the numbers from 0 to n-1.
func (d *Dice) Below(n int) int { return int(d.below(int64(n))) }

// UpTo draws a time that is shorter than most.
func (d *Dice) UpTo(most time.Duration) time.Duration { return time.Duration(d.below(int64(most))) }

func (d *Dice) below(n int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Int64N(n)
}
