package collect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kissmetrics-go/kissmetrics/collect"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// Contexts as the SDKs of browsers and of servers send them.
const (
	browserContext = `"context":{"active":true,"ip":"203.0.113.9","locale":"nl-NL","library":{"name":"analytics.js","version":"2.11.1"},` +
		`"page":{"path":"/academy/","referrer":"https://example.com/","search":"","title":"Analytics Academy","url":"https://example.com/academy/"},` +
		`"userAgent":"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36","timezone":"Europe/Amsterdam"}`
	serverContext = `"context":{"library":{"name":"analytics-go","version":"3.0.0"}}`
)

// benchmarkBatch returns a batch of 100 messages: pages, identifies, and the
// orders of an online shop.
func benchmarkBatch(context string, run int) []byte {
	var messages []string
	for i := range 100 {
		head := fmt.Sprintf(`{"messageId":"ajs-next-%d-%d-5d5c6c1d2c","anonymousId":"507f191e810c19729de860ea","userId":"user-%d",`+
			`"originalTimestamp":"2026-03-02T09:40:%02d.358Z","integrations":{"All":true},"channel":"web",%s,`, run, i, i, i%60, context)
		switch i % 4 {
		case 0:
			head += `"type":"page","name":"Pricing","properties":{"path":"/pricing","referrer":"https://example.com/","search":"","title":"Pricing","url":"https://example.com/pricing"}}`
		case 1:
			head += `"type":"identify","traits":{"name":"Tintin","city":"Brussels","country":"Belgium","email":"tintin@herge.com","plan":"pro","age":21}}`
		default:
			head += `"type":"track","event":"Order Completed","properties":{"order_id":"50314b8e9bcf","affiliation":"Google Store","value":30,"revenue":25.00,"shipping":3.5,` +
				`"tax":2.25,"discount":2.5,"coupon":"hasbros","currency":"USD","payment_method":"credit card","item_count":4,"gift":true,"email":"tintin@herge.com"}}`
		}
		messages = append(messages, head)
	}
	return []byte(`{"sentAt":"2026-03-02T09:41:00.000Z","batch":[` + strings.Join(messages, ",") + `]}`)
}

// BenchmarkBatch takes batches of 100 messages through the handler, Transform and
// a Recorder, and decodes the same bodies with encoding/json into a
// map[string]any alone, in turn. "collect/decode" says how many times as long
// the first takes.
func BenchmarkBatch(b *testing.B) {
	b.Run("browser", func(b *testing.B) { benchmark(b, browserContext) })
	b.Run("server", func(b *testing.B) { benchmark(b, serverContext) })
}

func benchmark(b *testing.B, context string) {
	var ours, theirs []time.Duration
	for run := 0; b.Loop(); run++ {
		body := benchmarkBatch(context, run)
		recorder := &kissmetricstest.Recorder{}
		handler, err := collect.NewHandler(recorder, collect.WithWriteKeys("key"))
		if err != nil {
			b.Fatal(err)
		}
		request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/v1/batch", bytes.NewReader(body))
		request.SetBasicAuth("key", "")
		answer := httptest.NewRecorder()
		start := time.Now()
		handler.ServeHTTP(answer, request)
		ours = append(ours, time.Since(start))
		if answer.Code != http.StatusOK || answer.Body.String() != `{"success":true}` {
			b.Fatal(answer.Code, answer.Body)
		}
		start = time.Now()
		var decoded map[string]any
		if err := json.Unmarshal(body, &decoded); err != nil {
			b.Fatal(err)
		}
		theirs = append(theirs, time.Since(start))
	}
	median := func(took []time.Duration) float64 {
		slices.Sort(took)
		return took[len(took)/2].Seconds()
	}
	b.ReportMetric(median(ours)/median(theirs), "collect/decode")
	b.ReportMetric(100/median(ours), "messages/s")
}
