package collect_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// FuzzMessage: a message of a batch, and one that comes alone to the path of its type,
// becomes what ParseMessage and Transform make of it, whose maps the handler does
// without.
func FuzzMessage(f *testing.F) {
	for i, message := range conformance(f) {
		f.Add(message, uint8(i)) //nolint:gosec // any options will do
	}
	for _, properties := range []string{`"a":1,"a":null`, `"a":{"b":1},"a.b":2`, `"\u0061\n":"\ud83d","b":"é"`, `"revenue":1e3,"products":[{"a":1},{}],"products":[{"b":2}]`} {
		f.Add([]byte(`{"type":"track","userId":"u","event":"e","properties":{`+properties+`}}`), uint8(0))
	}
	for _, row := range []string{
		`"user_id":"u","event":"e","a":1`, `"Anonymous_ID":"a","event_text":"E","event":"e","products":"[{\"sku\":1}]"`, `"user_id":"u","type":"identify","context_traits_plan":"pro","plan":null`,
		`"user_id":"u","previous_id":"p"`, `"user_id":"u","group_id":7,"Group_Id":8`, `"user_id":"u","type":"PAGE","name":"n","category":"c"`, `"user_id":"u","properties":{}`, `"user_id":"u"`,
	} {
		f.Add([]byte(`{`+row+`,"timestamp":"2026-03-02T09:00:00Z","uuid_ts":1,"context_ip":"x"}`), uint8(4))
	}
	for i, body := range oddBodies() {
		if i%9 == 4 { // the test below has all
			f.Add([]byte(body), uint8(0))
		}
	}
	for _, times := range []string{`"originalTimestamp":null,"original_timestamp"`, `"sentAt":"","sent_at"`, `"received_at"`} {
		f.Add([]byte(`{"type":"track","userId":"u","event":"e",`+times+`:"2026-03-02T09:00:00Z"}`), uint8(0))
	}
	f.Fuzz(requireRead)
}

func TestAValueOfEveryKindIsReadLikeAMessageAlone(t *testing.T) {
	for i, body := range oddBodies() {
		t.Run(strconv.Itoa(i), func(t *testing.T) { requireRead(t, []byte(body), 0) })
	}
}

// requireRead is what [FuzzMessage] requires. The flags are options.
func requireRead(t *testing.T, data []byte, flags uint8) {
	if len(data) > 5_000 || !json.Valid(data) || kissmetrics.Excluded(data) {
		return
	}
	options := kissmetrics.TransformOptions{
		Prefix: kissmetrics.PrefixStyle(flags & 3 % 3), AliasOnIdentify: flags&4 != 0, OrderTotalAsRevenue: flags&8 != 0, Strict: flags&16 != 0,
	}
	synctest.Test(t, func(t *testing.T) { requireLikeTransform(t, data, options) })
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
	bodies := map[string]string{"/v1/batch": batch(string(data))}
	// The path says the type, which in a row may be a property of its own.
	var members map[string]any
	_ = json.Unmarshal(data, &members)
	if kind := kindOf(message); kind != "" && strings.EqualFold(fmt.Sprint(members["type"]), kind) {
		bodies["/v1/"+kind] = string(data)
	}
	for path, body := range bodies {
		r := newReceiver(t, collect.WithTransform(options), collect.WithClockStep(0))
		r.do(t, path, body)
		require.Len(t, r.results, 1)
		require.Equal(t, err, r.results[0].Err, path)
		if err == nil {
			require.Equal(t, adjustments, r.results[0].Adjustments, path)
			require.Equal(t, records, r.recorder.Records(), path)
		}
	}
}

// kindOf returns the type of a message, or nothing.
func kindOf(message kissmetrics.Message) string {
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", message), "kissmetrics.")
	return strings.ToLower(kind)
}

// FuzzContext: a message with a context becomes the same whether the context is its own,
// that of the batch, or that of the one message that a request has.
func FuzzContext(f *testing.F) {
	for _, message := range []string{
		`{"type":"identify","userId":"u",` + at + `}`, `{"type":"identify","userId":"u","traits":{},` + at + `}`, `{"type":"identify","userId":"u","traits":{"b":2},` + at + `}`,
		`{"type":"identify","userId":"u","traits":[],` + at + `}`, `{"type":"identify","userId":"u","traits":5,` + at + `}`, `{"type":"identify",` + at + `}`, track, `{}`,
	} {
		for _, value := range kindsOfJSON() {
			f.Add(message, value)
			f.Add(message, `{"traits":`+value+`}`)
			f.Add(message, `{"traits":{"a":1},"library":{"name":`+value+`},"traits":`+value+`}`)
		}
	}
	f.Fuzz(func(t *testing.T, message, context string) {
		// A row has no object for its context, and nothing in it counts but the columns.
		folded := strings.ToLower(message)
		end := strings.LastIndexByte(message, '}')
		if !json.Valid([]byte(message)) || !json.Valid([]byte(context)) || len(message)+len(context) > 5_000 || end < 0 || strings.TrimSpace(message)[0] != '{' ||
			strings.Contains(folded, "_id") || strings.Contains(folded, `\u`) || strings.Contains(message, `"context"`) || kissmetrics.Excluded([]byte(message)) {
			return
		}
		separator := ","
		if !strings.Contains(message, `"`) {
			separator = ""
		}
		whole := message[:end] + separator + `"context":` + context + "}"
		parsed, _ := kissmetrics.ParseMessage([]byte(whole))
		synctest.Test(t, func(t *testing.T) {
			toToday()
			own := newReceiver(t, collect.WithClockStep(0))
			own.do(t, "/v1/batch", batch(whole))
			require.Len(t, own.results, 1)
			bodies := map[string]string{"/v1/import": `{"context":` + context + `,"batch":[` + message + `]}`}
			if kind := kindOf(parsed); kind != "" {
				bodies["/v1/"+kind] = whole
			}
			for path, body := range bodies {
				lent := newReceiver(t, collect.WithClockStep(0))
				lent.do(t, path, body)
				require.Len(t, lent.results, 1)
				require.Equal(t, own.results[0].Err, lent.results[0].Err, path)
				require.Equal(t, own.results[0].Adjustments, lent.results[0].Adjustments, path)
				require.Equal(t, own.recorder.Records(), lent.recorder.Records(), path)
			}
		})
	})
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
