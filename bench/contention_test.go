package bench

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
)

// BenchmarkContention has 16 producers share one queue, and in turn has one
// producer alone, each time until all is delivered to a transport that answers
// at once. It reports the medians of these ratios:
//
//   - "rate:one-core" is how many events a second the 16 get through together,
//     on all cores, to as many times what one gets through on one core: what is
//     below 1 is lost to contention, and to whatever else the machine does;
//   - "rate:all-cores" is the same to one producer that has all the cores, and
//     so has its workers and its garbage collected beside it;
//   - "cpu" is what processor time an event of the one producer on one core
//     takes, to that of an event of the 16: what is below 1 is lost to
//     contention alone.
func BenchmarkContention(b *testing.B) {
	const producers = 16
	cores := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(cores)
	events := rig.Size(20_000) / producers * producers
	ratios := series{}
	for b.Loop() {
		runtime.GOMAXPROCS(1)
		alone, costAlone := produce(b, 1, events)
		runtime.GOMAXPROCS(cores)
		beside, _ := produce(b, 1, events)
		together, costTogether := produce(b, producers, events)
		ratios.add("rate:one-core", together/(alone*float64(cores)))
		ratios.add("rate:all-cores", together/beside)
		ratios.add("cpu", costAlone/costTogether)
	}
	ratios.report(b)
}

// produce returns the rate of some producers together, and what processor time
// they took.
func produce(b *testing.B, producers, events int) (rate, cost float64) {
	client := newClient(b, kissmetrics.DoerFunc(atOnce), kissmetrics.DefaultBaseURL)
	runtime.GC()
	busy, start := rig.CPU(b), time.Now()
	var wg sync.WaitGroup
	for range producers {
		wg.Go(func() {
			for range events / producers {
				if err := client.Track(b.Context(), track()); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	closeDelivered(b, client, events)
	return float64(events) / time.Since(start).Seconds(), (rig.CPU(b) - busy).Seconds()
}
