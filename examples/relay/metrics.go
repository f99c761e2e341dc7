package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// metrics is what Prometheus is told.
type metrics struct {
	registry *prometheus.Registry
	messages *prometheus.CounterVec // by source and what became of them
	adjusted *prometheus.CounterVec // by source and what was adjusted
}

// newMetrics returns metrics of a queue, whose counts it reads when it is asked.
func newMetrics(stats func() kissmetrics.Stats) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_messages_total",
			Help: "Messages received, by source and what became of them.",
		}, []string{"source", "outcome"}),
		adjusted: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "relay_adjustments_total",
			Help: "Parts of messages that were adjusted so that the rest could be sent.",
		}, []string{"source", "kind"}),
	}
	m.registry.MustRegister(m.messages, m.adjusted, queueCollector(stats), collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// count counts what became of a message.
func (m *metrics) count(r collect.Result) {
	m.messages.WithLabelValues(sourceName(r), r.Outcome.String()).Inc()
	for _, a := range r.Adjustments {
		m.adjusted.WithLabelValues(sourceName(r), string(a.Kind)).Inc()
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// A queueCollector exports the Stats of a queue. One call of it gives all of one
// moment, so that accepted is the sum of the others in every scrape.
type queueCollector func() kissmetrics.Stats

var (
	recordsDesc = prometheus.NewDesc("kissmetrics_queue_records_total", "Records, by what became of them.", []string{"outcome"}, nil)
	waitingDesc = prometheus.NewDesc("kissmetrics_queue_waiting_records", "Records that wait or are under way.", nil, nil)
	bytesDesc   = prometheus.NewDesc("kissmetrics_queue_waiting_bytes", "What those take.", nil, nil)
	outageDesc  = prometheus.NewDesc("kissmetrics_queue_outage", "1 while deliveries fail and the queue holds back.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (queueCollector) Describe(descs chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{recordsDesc, waitingDesc, bytesDesc, outageDesc} {
		descs <- desc
	}
}

// Collect implements [prometheus.Collector].
func (stats queueCollector) Collect(metrics chan<- prometheus.Metric) {
	s := stats()
	count := func(outcome string, n int64) {
		metrics <- prometheus.MustNewConstMetric(recordsDesc, prometheus.CounterValue, float64(n), outcome)
	}
	count("accepted", s.Accepted)
	count("delivered", s.Delivered)
	count("failed", s.Failed)
	count("dropped", s.Dropped)
	gauge := func(desc *prometheus.Desc, v float64) {
		metrics <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v)
	}
	gauge(waitingDesc, float64(s.Waiting))
	gauge(bytesDesc, float64(s.WaitingBytes))
	outage := 0.0
	if s.Outage {
		outage = 1
	}
	gauge(outageDesc, outage)
}
