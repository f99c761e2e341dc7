package collect_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

// A realCase is a line of real-world.jsonl.
type realCase struct {
	Name    string          `json:"name"`
	Message json.RawMessage `json:"message"`
	Want    []struct {
		Path   string            `json:"path"`
		Params map[string]string `json:"params"`
	} `json:"want"`
	WantError string   `json:"wantError"`
	Adjusted  []string `json:"adjusted"`
}

// TestRealWorld sends what SDKs, shops and warehouses really send, alone and in a
// batch: the records and the adjustments are those that Transform gives.
func TestRealWorld(t *testing.T) {
	file, err := os.Open("../testdata/conformance/real-world.jsonl")
	require.NoError(t, err)
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	cases := 0
	for ; lines.Scan(); cases++ {
		var c realCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		var head struct{ Type string }
		require.NoError(t, json.Unmarshal(c.Message, &head))
		message := string(c.Message)
		for path, body := range map[string]string{
			"/v1/" + head.Type: message, "/v1/batch": batch(message), "/v1/import": `{"sentAt":"2026-03-02T10:00:00Z","batch":[` + message + `]}`,
		} {
			t.Run(c.Name+" "+path, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					now := time.Date(2026, time.March, 2, 10, 0, 0, 0, time.UTC)
					time.Sleep(time.Until(now))
					c.run(t, path, body)
				})
			})
		}
	}
	require.NoError(t, lines.Err())
	assert.Equal(t, 47, cases)
}

func (c *realCase) run(t *testing.T, path, body string) {
	r := newReceiver(t)
	a := r.do(t, path, body)
	require.Len(t, r.results, 1)
	if c.WantError != "" {
		assert.False(t, *a.body.Success)
		assert.Empty(t, r.recorder.Records())
		assert.Equal(t, collect.Refused, r.results[0].Outcome)
		var invalid *kissmetrics.ValidationError
		require.ErrorAs(t, r.results[0].Err, &invalid)
		assert.Equal(t, c.WantError, invalid.Field)
		return
	}
	assert.Equal(t, http.StatusOK, a.status)
	assert.True(t, *a.body.Success, a.text)
	records := r.recorder.Records()
	require.Len(t, records, len(c.Want))
	for i, record := range records {
		assert.Equal(t, c.Want[i].Path, record.Kind.Path())
		params := map[string]string{"_k": "test-api-key"}
		for name := range record.Values() {
			params[name] = record.Values().Get(name)
		}
		assert.Equal(t, c.Want[i].Params, params)
	}
	told, answered := []string{}, []string{}
	for _, adjustment := range r.results[0].Adjustments {
		told = append(told, fieldOf(adjustment.Field, adjustment.Property))
	}
	for _, change := range a.body.Adjusted {
		assert.Zero(t, change.Index)
		for _, adjustment := range change.Adjustments {
			assert.NotEmpty(t, adjustment.Kind)
			answered = append(answered, fieldOf(adjustment.Field, adjustment.Property))
		}
	}
	assert.ElementsMatch(t, c.Adjusted, told, "in the result")
	assert.ElementsMatch(t, c.Adjusted, answered, "in the answer")
}

// fieldOf names what was adjusted as the file does.
func fieldOf(field, property string) string {
	if field == "property" {
		return property
	}
	return field
}
