#!/usr/bin/env bash
# github.com/riverqueue/rivercontrib/otelriver v0.12.0 with River v0.51.2: DurationUnit is the unit of the
# metrics with River's names, seconds by default. By its doc it does not modify those of
# EnableSemanticMetrics, "because those are constrained to seconds by specification". It does. With "ms"
# they are recorded in milliseconds, and are declared so. They have the names that OpenTelemetry
# gives to all systems of messages, so that a job of half a second stands beside those of the others
# as one that took eight minutes, or becomes a metric of another name where the unit is part of it.
#
# Expected: messaging.process.duration is in seconds, whatever the unit of River's own.
# Seen, of a job that takes half a second:
#   DurationUnit "s": river.work_duration_histogram 0.5 s, messaging.process.duration 0.5 s
#   DurationUnit "ms": river.work_duration_histogram 500 ms, messaging.process.duration 500 ms
#
# Needs Go. Exits with another status than 0 if that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOWORK=off GOFLAGS=-mod=mod
cat >main.go <<'EOF'
package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/riverqueue/river/rivertype"
	"github.com/riverqueue/rivercontrib/otelriver"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func main() {
	run("s", 1)
	run("ms", 1000)
}

// run has the middleware work a job, as River does, and rounds what it measured to a tenth of a second.
func run(unit string, second float64) {
	ctx := context.Background()
	reader := metric.NewManualReader()
	middleware := otelriver.NewMiddleware(&otelriver.MiddlewareConfig{
		DurationUnit:          unit,
		EnableSemanticMetrics: true,
		MeterProvider:         metric.NewMeterProvider(metric.WithReader(reader)),
	})
	check(middleware.Work(ctx, &rivertype.JobRow{ID: 1, Attempt: 1, Kind: "mail", Queue: "default"}, func(context.Context) error {
		time.Sleep(500 * time.Millisecond)
		return nil
	}))

	var metrics metricdata.ResourceMetrics
	check(reader.Collect(ctx, &metrics))
	measured := make(map[string]string)
	for _, scope := range metrics.ScopeMetrics {
		for _, m := range scope.Metrics {
			if histogram, ok := m.Data.(metricdata.Histogram[float64]); ok {
				sum := math.Round(histogram.DataPoints[0].Sum/second*10) / 10 * second
				measured[m.Name] = fmt.Sprintf("%s %v %s", m.Name, sum, m.Unit)
			}
		}
	}
	fmt.Printf("DurationUnit %q: %s, %s\n", unit, measured["river.work_duration_histogram"], measured["messaging.process.duration"])
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
EOF
go mod init example.com/finding 2>/dev/null
go get github.com/riverqueue/rivercontrib/otelriver@v0.12.0 github.com/riverqueue/river@v0.51.2 2>/dev/null
go mod tidy 2>/dev/null
timeout 120 go run . | tee seen
diff - seen <<'EOF'
DurationUnit "s": river.work_duration_histogram 0.5 s, messaging.process.duration 0.5 s
DurationUnit "ms": river.work_duration_histogram 500 ms, messaging.process.duration 500 ms
EOF
