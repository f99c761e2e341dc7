package main

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"time"
)

// demand is what is asked for.
type demand struct {
	events   float64 // a second
	latency  time.Duration
	outage   time.Duration
	headroom float64
}

// measured is what one machine does.
type measured struct {
	storedOne    float64 // messages a second, in one stream
	storedFour   float64 // messages a second, in four streams
	relayed      float64 // messages a second, by one process
	storedBytes  float64 // of a message
	requestBytes float64 // of a request
}

// plan is what it takes.
type plan struct {
	partitions int
	skew       float64   // the fullest partition's load by the average one's
	shares     []float64 // of each partition, of all events
	inCluster  int       // partitions of a cluster of three servers
	servers    int
	relays     int
	underWay   float64 // requests
	bits       float64 // a second, to Kissmetrics
}

// makePlan returns the smallest plan whose fullest partition one stream can carry.
func makePlan(d demand, m measured) plan {
	capacity := d.events * d.headroom
	p := plan{partitions: max(1, int(capacity/m.storedOne))}
	for {
		p.shares = shares(p.partitions)
		p.skew = slices.Max(p.shares) * float64(p.partitions)
		if capacity*slices.Max(p.shares) <= m.storedOne || p.partitions > 100_000 {
			break
		}
		p.partitions += max(1, p.partitions/50)
	}
	// A partition is in one cluster, whole, so a cluster has as many as it can carry
	// of the fullest.
	p.inCluster = max(1, int(max(m.storedOne, m.storedFour)/(capacity*slices.Max(p.shares))))
	p.servers = 3 * ((p.partitions + p.inCluster - 1) / p.inCluster)
	p.relays = int(math.Ceil(capacity / m.relayed))
	p.underWay = d.events * d.latency.Seconds() // Little's law
	p.bits = d.events * m.requestBytes * 8
	return p
}

// persons is how many persons the simulation has; the n-th is 1/√n times as busy
// as the first.
const persons = 200_000

// shares returns what part of the events each partition gets.
func shares(partitions int) []float64 {
	shares := make([]float64, partitions)
	total := 0.0
	for n := range persons {
		hash := fnv.New32a()
		_, _ = hash.Write([]byte("person-" + strconv.Itoa(n)))
		weight := 1 / math.Sqrt(float64(n+1))
		shares[int(hash.Sum32()%uint32(partitions))] += weight //nolint:gosec // at most 100,000
		total += weight
	}
	for i := range shares {
		shares[i] /= total
	}
	return shares
}

// outcome is what became of an outage.
type outcome struct {
	peakBytes      float64 // of one replica of all partitions
	peakBytesOfOne float64 // of the fullest server
	drained        time.Duration
}

// simulate plays an outage through, second by second: events come in all the time,
// each partition's relays deliver none while Kissmetrics is away, and afterwards
// the headroom's worth, shared by the partitions that have something waiting.
func simulate(d demand, m measured, p plan) outcome {
	var o outcome
	waiting := make([]float64, p.partitions)
	for second := 0.0; ; second++ {
		total, fullest, busy := 0.0, 0.0, 0
		for i := range waiting {
			waiting[i] += d.events * p.shares[i]
			total += waiting[i]
			fullest = max(fullest, waiting[i])
			busy++
		}
		o.peakBytes = max(o.peakBytes, total*m.storedBytes)
		o.peakBytesOfOne = max(o.peakBytesOfOne, fullest*float64(p.inCluster)*m.storedBytes)
		if second < d.outage.Seconds() {
			continue
		}
		rest := d.events * d.headroom
		for rest > 0 && busy > 0 { // what a partition does not need, the others get
			share := rest / float64(busy)
			rest, busy = 0, 0
			for i := range waiting {
				if waiting[i] == 0 {
					continue
				}
				take := min(waiting[i], share)
				waiting[i] -= take
				rest += share - take
				if waiting[i] > 0 {
					busy++
				}
			}
		}
		if busy == 0 {
			o.drained = time.Duration(second-d.outage.Seconds()) * time.Second
			return o
		}
	}
}
