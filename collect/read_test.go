package collect_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// FuzzMessage: a message of a batch becomes what ParseMessage and Transform make of it
// alone, whose maps the handler does without.
func FuzzMessage(f *testing.F) {
	for i, message := range conformance(f) {
		f.Add(message, uint8(i)) //nolint:gosec // any options will do
	}
	for _, properties := range []string{`"a":1,"a":null`, `"a":{"b":1},"a.b":2`, `"\u0061\n":"\ud83d","b":"é"`, `"revenue":1e3,"products":[{"a":1},{}],"products":[{"b":2}]`} {
		f.Add([]byte(`{"type":"track","userId":"u","event":"e","properties":{`+properties+`}}`), uint8(0))
	}
	for _, times := range []string{`"originalTimestamp":null,"original_timestamp"`, `"sentAt":"","sent_at"`, `"received_at"`} {
		f.Add([]byte(`{"type":"track","userId":"u","event":"e",`+times+`:"2026-03-02T09:00:00Z"}`), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, flags uint8) {
		if len(data) > 5_000 || !json.Valid(data) || kissmetrics.Excluded(data) {
			return
		}
		options := kissmetrics.TransformOptions{
			Prefix: kissmetrics.PrefixStyle(flags & 3 % 3), AliasOnIdentify: flags&4 != 0, OrderTotalAsRevenue: flags&8 != 0, Strict: flags&16 != 0,
		}
		synctest.Test(t, func(t *testing.T) { requireLikeTransform(t, data, options) })
	})
}

// requireLikeTransform requires that the handler hands on the records of a message.
func requireLikeTransform(t *testing.T, data []byte, options kissmetrics.TransformOptions) {
	time.Sleep(time.Until(time.Date(2026, time.March, 2, 10, 0, 0, 0, time.UTC)))
	var records []kissmetrics.Record
	var adjustments []kissmetrics.Adjustment
	message, err := kissmetrics.ParseMessage(data)
	if err == nil {
		records, adjustments, err = kissmetrics.Transform(message, time.Now(), options)
	}
	r := newReceiver(t, collect.WithTransform(options), collect.WithClockStep(0))
	r.do(t, "/v1/batch", batch(string(data)))
	require.Len(t, r.results, 1)
	require.Equal(t, err, r.results[0].Err)
	if err == nil {
		require.Equal(t, adjustments, r.results[0].Adjustments)
		require.Equal(t, records, r.recorder.Records())
	}
}

// conformance returns the messages of the conformance files.
func conformance(tb testing.TB) (messages [][]byte) {
	tb.Helper()
	files, err := filepath.Glob("../testdata/conformance/*.jsonl")
	require.NoError(tb, err)
	require.Len(tb, files, 3)
	for _, file := range files {
		data, err := os.ReadFile(file) //nolint:gosec // of this module
		require.NoError(tb, err)
		for line := range bytes.Lines(data) {
			var c realCase
			require.NoError(tb, json.Unmarshal(line, &c))
			messages = append(messages, c.Message)
		}
	}
	return messages
}

// Messages without a time are sent last, when others have been read since.
func TestPropertiesOutliveTheMessagesBehindTheirs(t *testing.T) {
	event := func(name, time string) string {
		return `{"type":"track","userId":"u","event":"` + name + `","properties":{"of":"` + name + `"}` + time + `}`
	}
	r := newReceiver(t)
	r.do(t, "/v1/batch", batch(event("a", ""), event("b", `,"timestamp":"2026-03-02T09:00:00Z"`), event("c", ""), event("d", "")))
	require.Equal(t, []string{"b", "a", "c", "d"}, r.names())
	for _, record := range r.recorder.Records() {
		require.Equal(t, []kissmetrics.Property{{Name: "of", Value: record.Name}}, record.Properties)
	}
}
