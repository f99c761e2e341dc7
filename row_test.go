package kissmetrics_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// The messages of the clients, written by hand in the shapes that they send.
func TestMessagesOfClients(t *testing.T) {
	p := func(v string) kissmetrics.Properties { return kissmetrics.Properties{"a": v} }
	at := time.Date(2020, 1, 24, 6, 29, 2, 358_000_000, time.UTC)
	tests := map[string]struct {
		json string
		want kissmetrics.Message
	}{
		"segmentio/analytics-go track": {
			`{"type":"track","messageId":"m","userId":"u","event":"e","timestamp":"2020-01-24T07:29:02.358+01:00","context":{"library":{"name":"analytics-go","version":"3.0.0"}},"properties":{"a":"v"},"integrations":{"All":true}}`,
			kissmetrics.Track{UserID: "u", Event: "e", Properties: p("v"), Timestamp: at}},
		"segmentio/analytics-go group": {
			`{"type":"group","messageId":"m","anonymousId":"x","groupId":"g","timestamp":"2020-01-24T06:29:02.358Z","traits":{"a":"v"}}`,
			kissmetrics.Group{AnonymousID: "x", GroupID: "g", Traits: p("v"), Timestamp: at}},
		"rudderlabs/analytics-go track": {
			`{"type":"track","messageId":"m","anonymousId":"x","userId":"u","event":"e","timestamp":"0001-01-01T00:00:00Z","originalTimestamp":"2020-01-24T06:29:02.358Z","sentAt":"2020-01-24T06:29:03Z","context":{"library":{"name":"analytics-go"}},"properties":{"a":"v"},"channel":"server","integrations":{}}`,
			kissmetrics.Track{UserID: "u", AnonymousID: "x", Event: "e", Properties: p("v"), Timestamp: at}},
		"rudderlabs/analytics-go alias": {
			`{"type":"alias","previousId":"x","userId":"u","originalTimestamp":"2020-01-24T06:29:02.358Z","channel":"server"}`,
			kissmetrics.Alias{UserID: "u", PreviousID: "x", Timestamp: at}},
		"@rudderstack/rudder-sdk-node page": {
			`{"userId":"u","name":"n","properties":{"a":"v"},"type":"page","context":{"library":{"name":"@rudderstack/rudder-sdk-node","version":"2"}},"_metadata":{"nodeVersion":"22"},"originalTimestamp":"2020-01-24T06:29:02.358Z","messageId":"node-1","channel":"server","sentAt":"2020-01-24T06:29:03Z"}`,
			kissmetrics.Page{UserID: "u", Name: "n", Properties: p("v"), Timestamp: at}},
		"@segment/analytics-node screen": {
			`{"timestamp":"2020-01-24T06:29:02.358Z","integrations":{},"type":"screen","properties":{"a":"v"},"name":"n","category":"c","anonymousId":"x","messageId":"node-next-1","context":{"library":{"name":"@segment/analytics-node"}},"_metadata":{"nodeVersion":"22","jsRuntime":"node"},"writeKey":"k","sentAt":"2020-01-24T06:29:03Z"}`,
			kissmetrics.Screen{AnonymousID: "x", Name: "n", Category: "c", Properties: p("v"), Timestamp: at}},
		"@segment/analytics-node identify": {
			`{"timestamp":"2020-01-24T06:29:02.358Z","type":"identify","userId":"u","traits":{"a":"v"},"context":{"traits":{"b":"w"}}}`,
			kissmetrics.Identify{UserID: "u", Traits: p("v"), Timestamp: at}},
		"a topic's event": {
			`{"type":"track","rudderId":"r","userId":"","anonymousId":"x","event":"e","properties":{"a":"v"},"request_ip":"1.2.3.4","originalTimestamp":"2020-01-24T06:29:00Z","sentAt":"2020-01-24T06:29:01Z","receivedAt":"2020-01-24T06:29:04Z","timestamp":"2020-01-24T06:29:02.358Z","destination_props":null}`,
			kissmetrics.Track{AnonymousID: "x", Event: "e", Properties: p("v"), Timestamp: at}},
		"only sentAt":     {`{"type":"track","userId":"u","event":"e","sentAt":"2020-01-24T06:29:02.358Z","receivedAt":"2020-01-24T06:29:09Z"}`, kissmetrics.Track{UserID: "u", Event: "e", Timestamp: at}},
		"only receivedAt": {`{"type":"track","userId":"u","event":"e","receivedAt":"2020-01-24T06:29:02.358Z"}`, kissmetrics.Track{UserID: "u", Event: "e", Timestamp: at}},
		"nobody":          {`{"type":"track","event":"e","properties":{"user_id":1},"receivedAt":"2020-01-24T06:29:02.358Z"}`, kissmetrics.Track{Event: "e", Properties: kissmetrics.Properties{"user_id": json.Number("1")}, Timestamp: at}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kissmetrics.ParseMessage([]byte(test.json))
			require.NoError(t, err)
			assertSameMessage(t, test.want, got)
		})
	}
}

// assertSameMessage compares messages, and their times by the instant.
func assertSameMessage(t *testing.T, want, got kissmetrics.Message) {
	t.Helper()
	assert.IsType(t, want, got)
	w, err := json.Marshal(want)
	require.NoError(t, err)
	switch m := got.(type) {
	case kissmetrics.Track:
		m.Timestamp = m.Timestamp.UTC()
		got = m
	case kissmetrics.Identify:
		m.Timestamp = m.Timestamp.UTC()
		got = m
	}
	g, err := json.Marshal(got)
	require.NoError(t, err)
	assert.JSONEq(t, string(w), string(g))
}

func TestRowsOfAWarehouse(t *testing.T) {
	const times = `"original_timestamp":"2020-01-24 06:29:00 UTC","sent_at":"2020-01-24 06:29:01 UTC","received_at":"2020-01-24 06:29:04 UTC","timestamp":"2020-01-24 06:29:02.358 UTC","uuid_ts":"2020-01-24 07:00:00 UTC","loaded_at":null`
	at := time.Date(2020, 1, 24, 6, 29, 2, 358_000_000, time.UTC)
	tests := map[string]struct {
		json string
		want kissmetrics.Message
	}{
		"track": {
			`{"id":"m","anonymous_id":"x","user_id":"u","event":"track_me","event_text":"Track me","context_ip":"1.2.3.4","context_traits_plan":"pro","label":"l","type":"premium","address_city":"Brussels","gone":null,` + times + `}`,
			kissmetrics.Track{UserID: "u", AnonymousID: "x", Event: "Track me", Properties: kissmetrics.Properties{"label": "l", "type": "premium", "address_city": "Brussels"}, Timestamp: at}},
		"track without event_text": {
			`{"user_id":7,"event":"track_me","products":"[{\"sku\":\"MUG\"}]",` + times + `}`,
			kissmetrics.Track{UserID: "7", Event: "track_me", Properties: kissmetrics.Properties{"products": []any{map[string]any{"sku": "MUG"}}}, Timestamp: at}},
		"track with products that are no JSON": {
			`{"user_id":"u","event":"e","products":"[MUG",` + times + `}`,
			kissmetrics.Track{UserID: "u", Event: "e", Properties: kissmetrics.Properties{"products": "[MUG"}, Timestamp: at}},
		"columns in capitals": {
			`{"ID":"m","ANONYMOUS_ID":"x","EVENT":"track_me","EVENT_TEXT":"Track me","CONTEXT_IP":"1.2.3.4","LABEL":"l","TIMESTAMP":"2020-01-24 06:29:02.358 +0000","UUID_TS":"2020"}`,
			kissmetrics.Track{AnonymousID: "x", Event: "Track me", Properties: kissmetrics.Properties{"LABEL": "l"}, Timestamp: at}},
		"identify": {
			`{"type":"identify","id":"m","user_id":"u","email":"e","context_traits_email":"old","context_traits_plan":"pro","context_traits_none":null,"context_page_url":"p",` + times + `}`,
			kissmetrics.Identify{UserID: "u", Traits: kissmetrics.Properties{"email": "e", "plan": "pro"}, Timestamp: at}},
		"page": {
			`{"type":"Page","anonymous_id":"x","name":"n","category":"c","url":"w",` + times + `}`,
			kissmetrics.Page{AnonymousID: "x", Name: "n", Category: "c", Properties: kissmetrics.Properties{"name": "n", "category": "c", "url": "w"}, Timestamp: at}},
		"screen": {
			`{"type":"screen","anonymous_id":"x","name":"n",` + times + `}`,
			kissmetrics.Screen{AnonymousID: "x", Name: "n", Properties: kissmetrics.Properties{"name": "n"}, Timestamp: at}},
		"group": {
			`{"user_id":"u","group_id":"g","employees":5,` + times + `}`,
			kissmetrics.Group{UserID: "u", GroupID: "g", Traits: kissmetrics.Properties{"employees": json.Number("5")}, Timestamp: at}},
		"alias": {
			`{"user_id":"u","previous_id":"x",` + times + `}`,
			kissmetrics.Alias{UserID: "u", PreviousID: "x", Timestamp: at}},
		"a time of another zone": {
			`{"user_id":"u","previous_id":"x","received_at":"2020-01-24 07:29:02.358+01"}`,
			kissmetrics.Alias{UserID: "u", PreviousID: "x", Timestamp: at}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := kissmetrics.ParseMessage([]byte(test.json))
			require.NoError(t, err)
			if alias, ok := got.(kissmetrics.Alias); ok {
				alias.Timestamp = alias.Timestamp.UTC()
				got = alias
			}
			assertSameMessage(t, test.want, got)
		})
	}
	for name, test := range map[string]struct{ json, field string }{
		"of identifies or pages, nobody knows": {`{"user_id":"u","email":"e"}`, "type"},
		"of an unknown type":                   {`{"user_id":"u","type":"merge"}`, "type"},
		"of no columns":                        {`{"user_id":"u"}`, "type"},
	} {
		_, err := kissmetrics.ParseMessage([]byte(test.json))
		t.Run(name, func(t *testing.T) { requireField(t, test.field, err) })
	}
}
