package kissmetrics_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// wireRequest is a request as the conformance files write one.
type wireRequest struct {
	Path   string            `json:"path"`
	Params map[string]string `json:"params"`
}

// conformanceCase is one line of a conformance file.
type conformanceCase struct {
	Name   string `json:"name"`
	Config struct {
		PrefixProperties bool `json:"prefixProperties"`
	} `json:"config"`
	Message   json.RawMessage `json:"message"`
	Want      []wireRequest   `json:"want"`
	WantError string          `json:"wantError"`
}

// testNow is the time of a call, where a case says "<now>".
var testNow = time.Date(2026, 11, 24, 12, 0, 0, 500, time.UTC)

// conformance returns the cases of the named file.
func conformance(t testing.TB, name string) []conformanceCase {
	t.Helper()
	data, err := os.ReadFile("testdata/conformance/" + name)
	require.NoError(t, err)
	var cases []conformanceCase
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, len(data))
	for lines.Scan() {
		var c conformanceCase
		require.NoError(t, json.Unmarshal(lines.Bytes(), &c))
		for _, r := range c.Want {
			if r.Params["_t"] == "<now>" {
				r.Params["_t"] = strconv.FormatInt(testNow.Unix(), 10)
			}
		}
		cases = append(cases, c)
	}
	require.NoError(t, lines.Err())
	return cases
}

// allConformance returns the cases of both files, and checks that none is gone.
func allConformance(t testing.TB) []conformanceCase {
	t.Helper()
	cloud, beyond := conformance(t, "rudderstack-cloud.jsonl"), conformance(t, "beyond-rudderstack.jsonl")
	require.Len(t, cloud, 400)
	require.Len(t, beyond, 46)
	return append(cloud, beyond...)
}

// requireField requires that err is a ValidationError of the given field.
func requireField(t testing.TB, field string, err error) {
	t.Helper()
	invalid, ok := errors.AsType[*kissmetrics.ValidationError](err)
	require.True(t, ok, "%v is no ValidationError", err)
	require.Equal(t, field, invalid.Field, "%v", err)
}

// TestConformanceAsPipeline runs the conformance files as a pipeline would:
// ParseMessage, Transform, the parameters of each record.
func TestConformanceAsPipeline(t *testing.T) {
	for _, c := range allConformance(t) {
		t.Run(c.Name, func(t *testing.T) {
			options := kissmetrics.TransformOptions{Now: testNow}
			if c.Config.PrefixProperties {
				options.Prefix = kissmetrics.PrefixHyphen
			}
			message, err := kissmetrics.ParseMessage(c.Message)
			var records []kissmetrics.Record
			if err == nil {
				records, err = kissmetrics.Transform(message, options)
			}
			if c.WantError != "" {
				requireField(t, c.WantError, err)
				assert.Empty(t, records)
				return
			}
			require.NoError(t, err)
			var got []wireRequest
			for _, r := range records {
				request := wireRequest{r.Kind.Path(), map[string]string{"_k": "test-api-key"}}
				for name, values := range r.Values() {
					require.Len(t, values, 1)
					request.Params[name] = values[0]
				}
				got = append(got, request)
			}
			assert.Equal(t, c.Want, got)
		})
	}
}
