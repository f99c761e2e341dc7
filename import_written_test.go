package kissmetrics_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// What MarshalJSON writes is read by the short way, and both ways read the same.
func TestWhatIsWrittenIsReadByTheShortWay(t *testing.T) {
	records := []kissmetrics.Record{
		kissmetrics.NewEvent("p", "Ordered", second),
		kissmetrics.NewEvent("é \"q\" \\", "tab\tline\n\u2028 </script>", second, kissmetrics.Text("a,", ","), kissmetrics.Text("b:}", "{\"x\":1}")),
		kissmetrics.NewEvent("p,", "e,", second, kissmetrics.Number("n", -1.5), kissmetrics.Bool("t", true), kissmetrics.Text("u", "")),
		kissmetrics.NewProperties("p", second, kissmetrics.Text("1", "true"), kissmetrics.Number("10", 12)),
		kissmetrics.NewProperties("p", second),
		kissmetrics.NewAlias("p", "q", second),
		kissmetrics.NewAlias("p", "q", time.Time{}),
	}
	for _, r := range records {
		line, err := r.MarshalJSON()
		require.NoError(t, err)
		for _, end := range []string{"", "\n"} {
			short, ok := kissmetrics.ReadWritten(append(line, end...))
			assert.True(t, ok, "%s", line)
			assert.Equal(t, r, short)
			long, err := kissmetrics.ReadLine(append(line, end...))
			require.NoError(t, err)
			assert.Equal(t, r, long)
		}
	}
}

// FuzzWritten: what the short way of reading a line understands, the long way reads
// as the same.
func FuzzWritten(f *testing.F) {
	for _, line := range []string{
		`{"_p":"p","_t":1579847342,"_n":"e","a":"1","b":-1.50,"c":true}`,
		`{"_p":"p","_t":1579847342,"_p2":"q"}`, `{"_p":"p","_p2":"q"}` + "\n", `{"_p":"p","_t":1579847342,"a":"x\"y\u0041\ud83d\ude00\/"}`,
		`{"_p":"p","_t":1579847342,"_n":"","a":"1"}`, `{"_p":"p","_t":1579847342,"_p2":"","a":"1"}`,
		`{"_p":"p","_t":1579847342,"a":1,"a":1}`, `{"_p":"p","_t":1579847342,"b":1,"a":1}`, `{"_p":"p","_t":1579847342,"A":1,"a":1}`,
		`{"_p":"p","_t":1579847342,"\u005fp2":"q"}`, `{"_p":"p","_t":1579847342,"_d":1,"_k":"x"}`, `{"_p":"p","_t":1579847342,"_ip":"x"}`,
		`{"_p":"p","_t":1579847342,"a":1e2}`, `{"_p":"p","_t":1579847342,"a":01}`, `{"_p":"p","_t":1579847342,"a":null}`,
		`{"_p":"p","_t":01579847342,"a":1}`, `{"_p":"p","_t":-0,"a":1}`, `{"_p":"p","_t":1579847342,"a":{"b":1}}`,
		`{"_p":"p","_t":1579847342,"a":"\ud800"}`, `{"_p":"p","_t":1579847342,"a":"\x00"}`, `{"_p":"\xff","_t":1579847342,"a":"\ufffd"}`,
		`{"_p":"p","_t":1579847342,"a":1}}`, `{"_p":"p","_t":1579847342,"a":1} `, `{"_p":"p","_t":1579847342,"a":1` + "\n\n",
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		short, ok := kissmetrics.ReadWritten(line)
		if !ok {
			return
		}
		long, err := kissmetrics.ReadLine(line)
		require.NoError(t, err)
		assert.Equal(t, long, short)
	})
}

// BenchmarkRecordUnmarshalJSON reads a line of a record with six properties.
func BenchmarkRecordUnmarshalJSON(b *testing.B) {
	line, err := kissmetrics.NewEvent("person-1", "Order 17", second,
		kissmetrics.Number("Billing Amount", 129.95), kissmetrics.Text("address", "12 Long Street, London, United Kingdom"),
		kissmetrics.Text("order_id", "order-2026-000000017"), kissmetrics.Text("products", "MUG-1,TEE-4,PIN-9"),
		kissmetrics.Text("referrer", "https://example.com/campaign/spring?source=newsletter"), kissmetrics.Text("shipping", "express")).MarshalJSON()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		var r kissmetrics.Record
		if err := r.UnmarshalJSON(line); err != nil {
			b.Fatal(err)
		}
	}
}
