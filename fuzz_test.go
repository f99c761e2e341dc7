package kissmetrics_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// seed adds every message of the conformance files.
func seed(f *testing.F) {
	for _, c := range allConformance(f) {
		f.Add([]byte(c.Message))
	}
}

func requireOnlyValidationErrors(t *testing.T, err error) {
	t.Helper()
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		_, ok := errors.AsType[*kissmetrics.ValidationError](err)
		require.True(t, ok, "%v", err)
	}
}

// FuzzParseMessage: it never panics, and returns a message or an error that is
// a ValidationError throughout.
func FuzzParseMessage(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := kissmetrics.ParseMessage(data)
		if err != nil {
			requireOnlyValidationErrors(t, err)
			require.Nil(t, message)
			return
		}
		require.NotNil(t, message)
	})
}

// FuzzTransform: it never panics; it returns valid records or validation
// errors, not both; the same message gives the same records and adjustments; the
// message is left as it was.
func FuzzTransform(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		message, err := kissmetrics.ParseMessage(data)
		if err != nil {
			return
		}
		untouched, _ := kissmetrics.ParseMessage(data)
		for _, prefix := range []kissmetrics.PrefixStyle{kissmetrics.PrefixNone, kissmetrics.PrefixHyphen, kissmetrics.PrefixSpacedHyphen} {
			options := kissmetrics.TransformOptions{Prefix: prefix, AliasOnIdentify: true, OrderTotalAsRevenue: true}
			records, adjustments, err := kissmetrics.Transform(message, testNow, options)
			if err != nil {
				requireOnlyValidationErrors(t, err)
				require.Empty(t, records)
				require.Empty(t, adjustments)
				continue
			}
			require.NotEmpty(t, records)
			for _, r := range records {
				require.NoError(t, r.Validate())
			}
			again, told, err := kissmetrics.Transform(message, testNow, options)
			require.NoError(t, err)
			require.Equal(t, records, again)
			require.Equal(t, adjustments, told)
		}
		require.Equal(t, untouched, message)
	})
}

// FuzzRecord: the hot path's query is go-querystring's; a valid record survives
// its import line and a queue, and an invalid one has no line; the properties are left as they
// were.
func FuzzRecord(f *testing.F) {
	for _, c := range allConformance(f) {
		for _, r := range c.Want {
			names := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Params)), func(name string) bool { return name[0] == '_' })
			if len(names) > 1 {
				f.Add(1+len(names)%2, r.Params["_p"], r.Params["_n"], int64(1579847342),
					names[0], r.Params[names[0]], false, names[1], r.Params[names[1]], false)
			}
		}
	}
	f.Add(2, "p", "", int64(1579847342), "a", "-1.5", true, "b", "true", true)
	f.Add(3, "p", "q", int64(1579847342), "", "", false, "", "", false)
	f.Add(3, "p", "q", int64(-62135596800), "", "", false, "", "", false) // no time
	f.Fuzz(func(t *testing.T, kind int, person, name string, unix int64, name1, value1 string, literal1 bool, name2, value2 string, literal2 bool) {
		r := kissmetrics.Record{Kind: kissmetrics.Kind(kind), Person: person, Name: name, Time: time.Unix(unix, 0).UTC(), Properties: []kissmetrics.Property{
			{Name: name1, Value: value1, Literal: literal1}, {Name: name2, Value: value2, Literal: literal2},
		}}
		if r.Kind == kissmetrics.KindAlias {
			r.Properties = nil
		}
		before := append([]kissmetrics.Property(nil), r.Properties...)
		line, err := json.Marshal(r)
		require.Equal(t, before, r.Properties)
		if r.Validate() != nil {
			require.Error(t, err)
			return
		}
		require.NoError(t, err)
		values := r.Values()
		require.Equal(t, values.Encode(), r.Query(""))
		values.Set("_k", "key&=")
		require.Equal(t, values.Encode(), r.Query("key&="))
		var back kissmetrics.Record
		require.NoError(t, json.Unmarshal(line, &back))
		assert.Equal(t, r, back)
		assert.Equal(t, []kissmetrics.Record{r, r}, kissmetrics.Packed([]kissmetrics.Record{r, r}))
	})
}
