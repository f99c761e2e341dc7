package kissmetrics_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/name"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// FuzzNothingIsLost: of every message, either the error says that it does not
// tell who, what or which two, or Kissmetrics keeps all of its records whole, and
// every value that was given has arrived or is named by an adjustment.
func FuzzNothingIsLost(f *testing.F) {
	seed(f)
	for _, c := range conformance(f, "real-world.jsonl") {
		f.Add([]byte(c.Message))
	}
	for _, properties := range []string{
		`{"a":{"b":{"c":[1,null,"x"]}},"A.b.c":2,"a.B":{"c":3}}`, `{"":{"":1}," ":2,"_k":3,"_ip":4,"é":1,"É":2}`,
		`{"products":[{"a":1,"A":2},{"":1,"b":[{"c":NaN}]}],"revenue":"1.234"}`, `{"products":[{"a":1},7]}`, `{"products":[null,{}]}`,
	} {
		f.Add([]byte(`{"type":"track","userId":" u1 ","event":"e","timestamp":"2026-03-02T09:00:00Z","properties":` + properties + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		requireNothingLost(t, data, kissmetrics.TransformOptions{AliasOnIdentify: true})
	})
}

// FuzzNothingOfOddMessagesIsLost does the same for messages made of what is odd.
func FuzzNothingOfOddMessagesIsLost(f *testing.F) {
	for n := range uint64(200) {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, n uint64) {
		r := rand.New(rand.NewPCG(n, 0)) //nolint:gosec // it is to be repeated
		data, err := json.Marshal(map[string]any{
			"type": pick(r, "track", "page", "screen", "identify"), "event": pick(r, "e", strings.Repeat("é", 300), " x "), "name": "n",
			"userId": pick[any](r, "u1", " u1", "null", strings.Repeat("u", 256), 42, 0), "anonymousId": pick(r, "a1", "guest", ""),
			"timestamp":  pick[any](r, "2026-03-02T09:00:00Z", "yesterday", 12, "2612-01-01"),
			"properties": oddValue(r, 3), "traits": oddValue(r, 3),
		})
		require.NoError(t, err)
		requireNothingLost(t, data, kissmetrics.TransformOptions{OrderTotalAsRevenue: n%2 == 0})
	})
}

// TestOddMessagesUnderAllOptions: whatever the options, all records are valid, and
// the same each time.
func TestOddMessagesUnderAllOptions(t *testing.T) {
	for n := range uint64(500) {
		r := rand.New(rand.NewPCG(n, 1)) //nolint:gosec // it is to be repeated
		options := kissmetrics.TransformOptions{
			Prefix: kissmetrics.PrefixStyle(r.IntN(3)), MaxValueLength: pick(r, 0, 1, 5, 8192), Strict: r.IntN(3) == 0, OrderTotalAsRevenue: true,
		}
		properties, _ := oddValue(r, 3).(map[string]any)
		message := kissmetrics.Track{UserID: "u", Event: pick(r, "e", "_", "Order Completed"), Properties: properties}
		records, adjustments, err := kissmetrics.Transform(message, realNow, options)
		again, toldAgain, errAgain := kissmetrics.Transform(message, realNow, options)
		require.Equal(t, records, again, n)
		require.Equal(t, adjustments, toldAgain, n)
		require.Equal(t, err, errAgain, n)
		for _, record := range records {
			require.NoError(t, record.Validate(), n)
		}
	}
}

func pick[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// oddValue returns a value of JSON, of names and texts that are rarely what they
// should be.
func oddValue(r *rand.Rand, depth int) any {
	if kind := r.IntN(10); depth == 3 || depth > 0 && kind < 3 {
		object := make(map[string]any)
		for range r.IntN(8) {
			object[pick(r, "a", "A", "b", "a.b", "A.b", "é", "É", "a,b", "a:b", "", " ", "\u00a0", ".", "0", "_k", "_P2", "_ip", "revenue", "Revenue", "total",
				"Billing Amount", "billing amount", "products", "category", "id", strings.Repeat("n", 255), strings.Repeat("n", 254)+"é!", "\x00", "K", "\u212a")] = oddValue(r, depth-1)
		}
		return object
	} else if depth > 0 && kind < 5 {
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = oddValue(r, depth-1)
		}
		return list
	}
	return pick[any](r, nil, "", "x", "X", 1, 1.5, true, false, "1.234", "$5", "(5)", "a,b", strings.Repeat("é", 513), strings.Repeat("x", 512),
		json.Number("1e600"), json.Number("-0"), json.Number("42.0"), json.Number("0."+strings.Repeat("3", 600)), "\ufeff", "日本")
}

// requireNothingLost sends a message to a test server.
func requireNothingLost(t *testing.T, data []byte, options kissmetrics.TransformOptions) {
	message, err := kissmetrics.ParseMessage(data)
	if err != nil {
		requireSaysWhat(t, err, "message", "type")
		return
	}
	records, adjustments, err := kissmetrics.Transform(message, realNow, options)
	if err != nil {
		requireSaysWhat(t, err, "identity", "event", "userId", "previousId", "groupId")
		return
	}
	server := kissmetricstest.NewServer(t)
	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(testKey), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)
	require.NoError(t, sender.Send(t.Context(), records))
	sender.CloseIdleConnections()
	for _, ignored := range server.Ignored() {
		t.Errorf("%q is lost: %s", ignored.Property, ignored.Reason)
	}
	for _, v := range given(message) {
		assert.True(t, v.hasArrived(server.Requests()) || v.isTold(adjustments), "%q is lost without a word: %s", v.path, data)
	}
}

// requireSaysWhat requires that an error has only fields that a message can be
// refused for.
func requireSaysWhat(t *testing.T, err error, fields ...string) {
	t.Helper()
	requireOnlyValidationErrors(t, err)
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		invalid, _ := errors.AsType[*kissmetrics.ValidationError](err)
		require.Contains(t, fields, invalid.Field, "%v", err)
	}
}

// A leaf is a value of a message that is to arrive, and the way to it.
type leaf struct {
	path []string
	text string // empty if it need not arrive as it is
}

// given returns the values of a message: an independent and simple account of
// what there is to send.
func given(message kissmetrics.Message) []leaf {
	switch m := message.(type) {
	case kissmetrics.Identify:
		return leaves(nil, nil, map[string]any(m.Traits))
	case kissmetrics.Page:
		return leaves(nil, nil, map[string]any(m.Properties))
	case kissmetrics.Screen:
		return leaves(nil, nil, map[string]any(m.Properties))
	case kissmetrics.Track:
		return leaves(nil, nil, map[string]any(m.Properties))
	}
	return nil
}

func leaves(all []leaf, path []string, v any) []leaf {
	below := func(part string) []string { return append(slices.Clip(path), part) }
	switch v := v.(type) {
	case nil:
		return all
	case map[string]any:
		for key, member := range v {
			all = leaves(all, below(strings.ToValidUTF8(key, "\uFFFD")), member)
		}
		return all
	case []any:
		if !holdsMap(v) {
			return append(all, leaf{path, ""})
		}
		for i, element := range v {
			all = leaves(all, below(strconv.Itoa(i)), element)
		}
		return all
	case string:
		return append(all, leaf{path, strings.ToValidUTF8(v, "\uFFFD")})
	case json.Number:
		return append(all, leaf{path, ""})
	default:
		return append(all, leaf{path, fmt.Sprint(v)})
	}
}

func holdsMap(list []any) bool {
	return slices.ContainsFunc(list, func(v any) bool {
		inner, _ := v.([]any)
		_, isMap := v.(map[string]any)
		return isMap || holdsMap(inner)
	})
}

// hasArrived reports whether Kissmetrics knows a value by its name, or by another
// that is the same to it. A product's are properties of their own.
func (l leaf) hasArrived(requests []kissmetricstest.Request) bool {
	names := []string{strings.Join(l.path, ".")}
	if l.path[0] == "products" {
		if len(l.path) == 1 && l.text == "" {
			return true // an empty list of products says nothing
		}
		if len(l.path) > 2 {
			names = append(names, strings.Join(l.path[2:], "."))
		}
	}
	rewritten := names[0] == "revenue" || name.Same(names[0], "Billing Amount") // an amount, or a blank that gave way to one
	return slices.ContainsFunc(requests, func(r kissmetricstest.Request) bool {
		for parameter := range r.Params {
			for _, s := range names {
				if name.Same(parameter, s) && (l.text == "" || rewritten || r.Params.Get(parameter) == name.Cut(l.text, kissmetrics.MaxValueLength)) {
					return true
				}
			}
		}
		return false
	})
}

// isTold reports whether an adjustment names a value, or something that it is a
// part of.
func (l leaf) isTold(adjustments []kissmetrics.Adjustment) bool {
	full := strings.Join(l.path, ".")
	return slices.ContainsFunc(adjustments, func(a kissmetrics.Adjustment) bool {
		switch {
		case a.Kind == kissmetrics.AdjustedCount:
			return true
		case a.Field != "property":
			return false
		}
		return a.Property == full || strings.HasPrefix(full, a.Property+".") || name.Longer(full, 255) && strings.HasPrefix(full, a.Property)
	})
}
