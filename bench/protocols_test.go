package bench

import (
	"net/http"
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bench/internal/rig"
)

// BenchmarkProtocols is BenchmarkNetwork with TLS, by HTTP/1.1 and by HTTP/2 in turn.
// The server allows 100 requests at a time on a connection of HTTP/2.
func BenchmarkProtocols(b *testing.B) {
	protocols := map[string]*http.Protocols{"HTTP/1.1": {}, "HTTP/2": {}}
	protocols["HTTP/1.1"].SetHTTP1(true)
	protocols["HTTP/2"].SetHTTP2(true)
	for _, kind := range []string{"tls 0s", "tls 50ms"} {
		b.Run(kind, func(b *testing.B) {
			url, results := rig.StartServer(b, kind), series{}
			for b.Loop() {
				for name, protocol := range protocols {
					transport := rig.Trusting()
					transport.Protocols, transport.MaxIdleConnsPerHost = protocol, 1024
					transport.WriteBufferSize, transport.ReadBufferSize = 9<<8, 1<<10 // as those of the default transport
					_, _, connections := rig.Counts(b, url)
					busy := rig.CPU(b)
					delivered, elapsed, memory := deliverFor(b, url, rig.Round(), kissmetrics.WithTransport(transport))
					results.add("records/s:"+name, float64(delivered)/elapsed.Seconds())
					results.add("cpu-µs/record:"+name, float64((rig.CPU(b)-busy).Microseconds())/float64(delivered))
					results.add("MiB-resident:"+name, float64(memory)/(1<<20))
					_, _, after := rig.Counts(b, url)
					results.add("connections:"+name, float64(after-connections-1)) // that of the first counts, too
					transport.CloseIdleConnections()
				}
			}
			results.report(b)
		})
	}
}
