package wire_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/jsonwalk"
	"github.com/kissmetrics-go/kissmetrics/internal/wire"
)

type (
	message  = wire.Message
	object   = map[string]any
	problems = []wire.Problem
)

func parse(t *testing.T, data string) message {
	t.Helper()
	m, err := wire.Parse([]byte(data))
	require.NoError(t, err, data)
	return m
}

// Each of these is a message without its braces.
func TestMessages(t *testing.T) {
	shape := func(field string) problems { return problems{{Field: field, Kind: wire.NoObject}} }
	identity := func(field string) problems { return problems{{Field: field, Kind: wire.NoIdentity}} }
	noText := func(field string) problems { return problems{{Field: field, Kind: wire.NoText}} }
	for rule, test := range map[string]struct {
		json string
		want message
	}{
		"a type in any case": {`"type":" Track ","userId":"u","event":"e"`, message{Type: "track", UserID: "u", Name: "e"}},

		"numbers are identities":               {`"type":"track","userId":42.0,"anonymousId":1e3`, message{Type: "track", UserID: "42", AnonymousID: "1000"}},
		"a long number keeps its digits":       {`"type":"track","userId":12345678901234567890`, message{Type: "track", UserID: "12345678901234567890"}},
		"0 beside an anonymousId is nobody":    {`"type":"track","userId":0,"anonymousId":"a"`, message{Type: "track", AnonymousID: "a", Problems: identity("userId")}},
		"-0 is 0":                              {`"type":"track","userId":-0.0,"anonymousId":"a"`, message{Type: "track", AnonymousID: "a", Problems: identity("userId")}},
		"0 alone":                              {`"type":"track","userId":0`, message{Type: "track", UserID: "0"}},
		"the text 0 is a text":                 {`"type":"track","userId":"0","anonymousId":"a"`, message{Type: "track", UserID: "0", AnonymousID: "a"}},
		"true is no identity":                  {`"type":"track","userId":true`, message{Type: "track", Problems: identity("userId")}},
		"an object is no identity":             {`"type":"track","userId":{"id":1},"anonymousId":"a"`, message{Type: "track", AnonymousID: "a", Problems: identity("userId")}},
		"a number beyond measure is none":      {`"type":"track","userId":1e999999`, message{Type: "track", Problems: identity("userId")}},
		"an odd anonymousId beside a userId":   {`"type":"track","userId":"u","anonymousId":{}`, message{Type: "track", UserID: "u"}},
		"an odd anonymousId alone":             {`"type":"track","anonymousId":[1]`, message{Type: "track", Problems: identity("anonymousId")}},
		"both odd":                             {`"type":"track","userId":[],"anonymousId":[1]`, message{Type: "track", Problems: append(identity("userId"), identity("anonymousId")...)}},
		"an odd groupId":                       {`"type":"group","userId":"u","groupId":[1]`, message{Type: "group", UserID: "u", Problems: identity("groupId")}},
		"an odd groupId of a track is nothing": {`"type":"track","userId":"u","groupId":[1]`, message{Type: "track", UserID: "u"}},

		"an alias has a previousId":      {`"type":"alias","userId":"u","previousId":7,"anonymousId":"a"`, message{Type: "alias", UserID: "u", AnonymousID: "a", PreviousID: "7"}},
		"or else the anonymousId":        {`"type":"alias","userId":"u","previousId":"","anonymousId":"a"`, message{Type: "alias", UserID: "u", AnonymousID: "a", PreviousID: "a"}},
		"also where it is odd":           {`"type":"alias","userId":"u","previousId":[],"anonymousId":"a"`, message{Type: "alias", UserID: "u", AnonymousID: "a", PreviousID: "a", Problems: identity("previousId")}},
		"an alias has nothing else":      {`"type":"alias","userId":"u","previousId":"p","properties":7,"traits":"x","event":{}`, message{Type: "alias", UserID: "u", PreviousID: "p"}},
		"other types have no previousId": {`"type":"track","userId":"u","previousId":{}`, message{Type: "track", UserID: "u"}},

		"a track is named by its event":      {`"type":"track","userId":"u","event":"e","name":{},"category":[],"traits":"x"`, message{Type: "track", UserID: "u", Name: "e"}},
		"also by a number":                   {`"type":"track","userId":"u","event":7`, message{Type: "track", UserID: "u", Name: "7"}},
		"not by anything else":               {`"type":"track","userId":"u","event":{}`, message{Type: "track", UserID: "u", Problems: noText("event")}},
		"a page is named by its name":        {`"type":"page","userId":"u","name":"n","category":"c","event":"e","properties":{"name":"p"}`, message{Type: "page", UserID: "u", Name: "n", Category: "c", Properties: object{"name": "p"}}},
		"or by its property":                 {`"type":"page","userId":"u","event":"e","properties":{"name":"p"}`, message{Type: "page", UserID: "u", Name: "p", Properties: object{"name": "p"}}},
		"a property of another kind is none": {`"type":"page","userId":"u","properties":{"name":{}}`, message{Type: "page", UserID: "u", Properties: object{"name": object{}}}},
		"a screen is named by its name":      {`"type":"screen","userId":"u","name":"n","event":"e"`, message{Type: "screen", UserID: "u", Name: "n"}},
		"or by its event":                    {`"type":"screen","userId":"u","event":"e","properties":{"name":"p"}`, message{Type: "screen", UserID: "u", Name: "e", Properties: object{"name": "p"}}},
		"or by the property of a screen":     {`"type":"screen","userId":"u","name":null,"properties":{"name":"p"}`, message{Type: "screen", UserID: "u", Name: "p", Properties: object{"name": "p"}}},
		"false is no name":                   {`"type":"page","userId":"u","name":false,"category":false`, message{Type: "page", UserID: "u"}},
		"nor is 0":                           {`"type":"screen","userId":"u","name":0,"category":0.0`, message{Type: "screen", UserID: "u"}},
		"a number is a name":                 {`"type":"page","userId":"u","name":404,"category":1.50`, message{Type: "page", UserID: "u", Name: "404", Category: "1.5"}},
		"an odd name":                        {`"type":"page","userId":"u","name":{},"category":[1]`, message{Type: "page", UserID: "u", Problems: append(noText("category"), noText("name")...)}},

		"PHP's empty list is an empty object": {`"type":"track","userId":"u","properties":[]`, message{Type: "track", UserID: "u"}},
		"an empty text says nothing":          {`"type":"track","userId":"u","properties":" "`, message{Type: "track", UserID: "u"}},
		"null says nothing":                   {`"type":"track","userId":"u","properties":null`, message{Type: "track", UserID: "u"}},
		"a list is no object":                 {`"type":"track","userId":"u","properties":[1,2]`, message{Type: "track", UserID: "u", Problems: shape("properties")}},
		"nor is a list of objects":            {`"type":"page","userId":"u","properties":[{"a":1}]`, message{Type: "page", UserID: "u", Problems: shape("properties")}},
		"nor a text":                          {`"type":"identify","userId":"u","traits":"x"`, message{Type: "identify", UserID: "u", Problems: shape("traits")}},
		"nor a boolean":                       {`"type":"group","userId":"u","groupId":"g","traits":true`, message{Type: "group", UserID: "u", GroupID: "g", Problems: shape("traits")}},
		"a track has no traits":               {`"type":"track","userId":"u","traits":[1],"properties":{"a":1}`, message{Type: "track", UserID: "u", Properties: object{"a": json.Number("1")}}},
		"a group has no properties":           {`"type":"group","userId":"u","groupId":"g","traits":{"a":1},"properties":7`, message{Type: "group", UserID: "u", GroupID: "g", Properties: object{"a": json.Number("1")}}},

		"an identify takes the context's traits": {`"type":"identify","userId":"u","context":{"ip":"i","traits":{"a":"b"}},"traits":{}`, message{Type: "identify", UserID: "u", Properties: object{"a": "b"}}},
		"but not instead of its own":             {`"type":"identify","userId":"u","context":{"traits":{"a":"b"}},"traits":{"c":"d"}`, message{Type: "identify", UserID: "u", Properties: object{"c": "d"}}},
		"also where its own are odd":             {`"type":"identify","userId":"u","context":{"traits":{"a":"b"}},"traits":7`, message{Type: "identify", UserID: "u", Properties: object{"a": "b"}, Problems: shape("traits")}},
		"the context's may be odd":               {`"type":"identify","userId":"u","context":{"traits":[1]}`, message{Type: "identify", UserID: "u", Problems: shape("traits")}},
		"or empty":                               {`"type":"identify","userId":"u","context":{"traits":[]}`, message{Type: "identify", UserID: "u"}},
		"so may the context":                     {`"type":"identify","userId":"u","context":[{"traits":{"a":1}}]`, message{Type: "identify", UserID: "u"}},
		"another type does not":                  {`"type":"track","userId":"u","context":{"traits":{"a":"b"}}`, message{Type: "track", UserID: "u"}},

		"the exact name counts":        {`"userId":"u","USERID":"v","Type":"page","type":"track","TYPE":"x","Properties":{"a":1},"Event":"E"`, message{Type: "track", UserID: "u"}},
		"also behind":                  {`"USERID":"v","userId":"u","type":"track"`, message{Type: "track", UserID: "u"}},
		"the last of several counts":   {`"type":"page","type":"track","userId":"u","userId":"v","properties":{"a":1},"properties":{"b":2}`, message{Type: "track", UserID: "v", Properties: object{"b": json.Number("2")}}},
		"a name may be escaped":        {`"\u0074ype":"track","userId":"u"`, message{Type: "track", UserID: "u"}},
		"an unknown member is nothing": {`"type":"track","userId":"u","x":{"type":"page"},"messageId":[]`, message{Type: "track", UserID: "u"}},

		"identities named as columns":      {`"type":"track","user_id":"u","anonymous_id":"a","event":"e","properties":{"revenue":5}`, message{Type: "track", UserID: "u", AnonymousID: "a", Name: "e", Properties: object{"revenue": json.Number("5")}}},
		"with a context":                   {`"type":"group","user_id":"u","group_id":"g","context":{},"traits":{"a":1}`, message{Type: "group", UserID: "u", GroupID: "g", Properties: object{"a": json.Number("1")}}},
		"with PHP's empty list":            {`"type":"track","user_id":"u","event":"e","properties":[]`, message{Type: "track", UserID: "u", Name: "e"}},
		"do not count before the members":  {`"type":"alias","userId":"u","user_id":"x","previousId":"p","previous_id":"y"`, message{Type: "alias", UserID: "u", PreviousID: "p"}},
		"and times named as columns":       {`"type":"track","userId":"u","sent_at":"2026-03-02T09:00:00Z"`, message{Type: "track", UserID: "u", Time: nine}},
		"a property is no column":          {`"type":"track","event":"e","properties":{"user_id":1}`, message{Type: "track", Name: "e", Properties: object{"user_id": json.Number("1")}}},
		"what is no JSON, but often there": {"\"type\":\"track\",\"userId\":\"u\",\"event\":\"a\nb\",\"properties\":{\"x\":NaN}", message{Type: "track", UserID: "u", Name: "a\nb", Properties: object{"x": json.Number("1e999999999")}}},
	} {
		t.Run(rule, func(t *testing.T) { assert.Equal(t, test.want, parse(t, "{"+test.json+"}")) })
	}
}

var nine = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func TestTimes(t *testing.T) {
	const good = `"2026-03-02T09:00:00Z"`
	told := problems{{Field: "timestamp", Kind: wire.NoTime}}
	for rule, test := range map[string]struct {
		json    string
		want    time.Time
		earlier []time.Time
		told    problems
	}{
		"none":                         {``, time.Time{}, nil, nil},
		"the first":                    {`,"originalTimestamp":"2026-03-02T09:30:00Z","timestamp":` + good, nine, nil, nil},
		"the second":                   {`,"originalTimestamp":` + good, nine, nil, nil},
		"the third":                    {`,"sentAt":` + good, nine, nil, nil},
		"the last":                     {`,"receivedAt":` + good, nine, nil, nil},
		"null is absent":               {`,"timestamp":null,"originalTimestamp":"","sentAt":` + good, nine, nil, nil},
		"so is Go's zero time":         {`,"timestamp":"0001-01-01T00:00:00Z","sentAt":` + good, nine, nil, nil},
		"and .NET's":                   {`,"timestamp":"0001-01-01T00:00:00","sentAt":` + good, nine, nil, nil},
		"unreadable":                   {`,"timestamp":"garbage","sentAt":` + good, nine, nil, told},
		"several unreadable":           {`,"timestamp":"garbage","originalTimestamp":{},"sentAt":true`, time.Time{}, nil, told},
		"unreadable behind a good one": {`,"timestamp":` + good + `,"originalTimestamp":"garbage"`, nine, nil, nil},
		"before 2009":                  {`,"timestamp":"2008-12-31T23:59:59Z","sentAt":` + good, nine, nil, told},
		"the first instant of 2009":    {`,"timestamp":"2009-01-01T00:00:00Z"`, time.Date(2009, 1, 1, 0, 0, 0, 0, time.UTC), nil, nil},
		"1970, as a number":            {`,"timestamp":2026`, time.Time{}, nil, told},
		"earlier ones are kept":        {`,"timestamp":"2569-03-02T09:00:00Z","originalTimestamp":"2570-01-01","sentAt":"2027-01-01","receivedAt":` + good, time.Date(2569, 3, 2, 9, 0, 0, 0, time.UTC), []time.Time{time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), nine}, nil},
		"later ones are not":           {`,"timestamp":` + good + `,"sentAt":"2026-03-02T09:00:01Z","receivedAt":"2008-01-01"`, nine, nil, nil},
	} {
		t.Run(rule, func(t *testing.T) {
			m := parse(t, `{"type":"track"`+test.json+`}`)
			assert.Equal(t, test.want, m.Time)
			assert.Equal(t, test.earlier, m.Earlier)
			assert.Equal(t, test.told, m.Problems)
		})
	}
}

func TestInstant(t *testing.T) {
	for value, want := range map[string]string{
		`"2026-03-02T09:00:00+0000"`:      "2026-03-02T09:00:00Z",
		`"\u0032026-03-02 09:00:00"`:      "2026-03-02T09:00:00Z",
		`1772442000358`:                   "2026-03-02T09:00:00.358Z",
		`"2569-11-27T22:27:00Z"`:          "2569-11-27T22:27:00Z",
		`null`:                            "0001-01-01T00:00:00Z",
		``:                                "0001-01-01T00:00:00Z",
		`""`:                              "0001-01-01T00:00:00Z",
		`"0001-01-01T00:00:00.000+02:00"`: "0001-01-01T00:00:00Z",
		`"0001-01-01T00:00:00-05:00"`:     "0001-01-01T00:00:00Z",
		`"0001-08-02T00:00:00Z"`:          "0001-08-02T00:00:00Z", // in Japan, 2019
		`{}`:                              "",
		`true`:                            "",
		`-5`:                              "",
		`"x"`:                             "",
	} {
		instant := wire.Instant{Value: wire.Value(value)}
		got, ok := instant.Time()
		if want == "" {
			assert.False(t, ok, value)
		} else if assert.True(t, ok, value) {
			assert.Equal(t, want, got.Format(time.RFC3339Nano), value)
			again, _ := instant.Time()
			assert.Equal(t, got, again, value)
		}
	}
}

func TestRefused(t *testing.T) {
	const types = "is none of identify, page, screen, track, group and alias"
	for rule, test := range map[string]struct{ data, field, reason string }{
		"no type":            {`{"userId":"u"}`, "type", "is missing"},
		"an empty type":      {`{"type":""}`, "type", "is missing"},
		"null":               {`{"type":null}`, "type", "is missing"},
		"an unknown type":    {`{"type":"secret"}`, "type", types},
		"a type of no text":  {`{"type":["track"]}`, "type", "is not a text"},
		"a list":             {`[{"type":"track"}]`, "message", "is not a JSON object"},
		"a text":             {`"track"`, "message", "is not a JSON object"},
		"nothing but null":   {`null`, "message", "is not a JSON object"},
		"a row of no type":   {`{"user_id":"u","email":"e"}`, "type", "is missing, and the columns of the row do not tell it"},
		"a row, no such":     {`{"user_id":"u","type":"merge"}`, "type", "is missing, and the columns of the row do not tell it"},
		"a row of no column": {`{"anonymous_id":null}`, "type", "is missing, and the columns of the row do not tell it"},
	} {
		t.Run(rule, func(t *testing.T) {
			_, err := wire.Parse([]byte(test.data))
			refused, ok := errors.AsType[*wire.Error](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, wire.Error{Field: test.field, Reason: test.reason}, *refused)
			assert.Equal(t, test.field+" "+test.reason, err.Error())
		})
	}
	for _, data := range []string{``, `{`, `{"type":"track"`, `{"type":"track"} x`, `{"type":"track"}{}`, `[1`, `nul`, `{"type":"track","properties":` + strings.Repeat("[", 20_000)} {
		_, err := wire.Parse([]byte(data))
		_, ok := errors.AsType[*jsonwalk.Error](err)
		assert.True(t, ok, "%v", err)
	}
}

// The other rules of rows are tested by the root package.
func TestRows(t *testing.T) {
	for rule, test := range map[string]struct {
		json string
		want message
	}{
		"in capitals":                    {`"USER_ID":42.0,"EVENT":"e","A":1`, message{Type: "track", UserID: "42", Name: "e", Properties: object{"A": json.Number("1")}}},
		"a null member is no member":     {`"userId":null,"user_id":"u","event":"e"`, message{Type: "track", UserID: "u", Name: "e", Properties: object{}}},
		"of two columns, the first":      {`"type":"track","user_id":"u","EVENT":"E","event":"e"`, message{Type: "track", UserID: "u", Name: "E", Properties: object{"event": "e"}}},
		"a column properties":            {`"user_id":"u","event":"e","properties":"x"`, message{Type: "track", UserID: "u", Name: "e", Properties: object{"properties": "x"}}},
		"a person that is none":          {`"user_id":[1],"anonymous_id":"a","event":"e"`, message{Type: "track", AnonymousID: "a", Name: "e", Properties: object{}, Problems: problems{{Field: "userId", Kind: wire.NoIdentity}}}},
		"a time that is none":            {`"user_id":"u","event":"e","timestamp":"garbage","received_at":"2026-03-02 09:00:00 UTC"`, message{Type: "track", UserID: "u", Name: "e", Properties: object{}, Time: nine, Problems: problems{{Field: "timestamp", Kind: wire.NoTime}}}},
		"an alias of the anonymous one":  {`"type":"alias","user_id":"u","anonymous_id":"a"`, message{Type: "alias", UserID: "u", AnonymousID: "a", PreviousID: "a"}},
		"a page without a name":          {`"type":"page","user_id":"u","name":false`, message{Type: "page", UserID: "u", Properties: object{"name": false}}},
		"products that are a list":       {`"user_id":"u","event":"e","PRODUCTS":"[{\"sku\":1}]"`, message{Type: "track", UserID: "u", Name: "e", Properties: object{"products": []any{object{"sku": json.Number("1")}}}}},
		"a column without a name":        {`"user_id":"u","event":"e","":"[1]"`, message{Type: "track", UserID: "u", Name: "e", Properties: object{"": "[1]"}}},
		"that is not of the group":       {`"user_id":"u","type":"group","":1`, message{Type: "group", UserID: "u", Properties: object{"": json.Number("1")}}},
		"what is no JSON is mended here": {"\ufeff" + `"user_id":"u","event":"e","x":NaN`, message{Type: "track", UserID: "u", Name: "e", Properties: object{"x": json.Number("1e999999999")}}},
	} {
		t.Run(rule, func(t *testing.T) {
			mark, members, _ := strings.Cut(test.json, "\ufeff")
			if members == "" {
				mark, members = "", test.json
			}
			assert.Equal(t, test.want, parse(t, mark+"{"+members+"}"))
		})
	}
}

func TestExcluded(t *testing.T) {
	for integrations, want := range map[string]bool{
		`{}`: false, `null`: false, `[]`: false, `false`: false, `"none"`: false,
		`{"All":true}`: false, `{"All":false}`: true, `{"all":false}`: true, `{"ALL":"false"}`: true, `{"All":" False "}`: true, `{"All":0}`: true,
		`{"All":null}`: false, `{"All":{}}`: false, `{"All":"no"}`: false, `{"All":[]}`: false, `{"All":2}`: false,
		`{"Kissmetrics":false}`: true, `{"KISSmetrics":false}`: true, `{"Kiss Metrics":false}`: true, `{"kiss_metrics":false}`: true, `{"Kiss-Metrics":"false"}`: true,
		`{"All":true,"Kiss Metrics":false}`: true, `{"All":false,"Kiss Metrics":true}`: false, `{"All":false,"Kiss Metrics":"true"}`: false, `{"All":false,"Kiss Metrics":1}`: false,
		`{"All":false,"Kissmetrics":{"apiKey":"x"}}`: false, `{"All":false,"Kissmetrics":{}}`: true, `{"All":false,"Kissmetrics":null}`: true,
		`{"Kissmetrics":true,"Kiss Metrics":false}`: true, `{"Kiss Metrics":false,"Kissmetrics":true}`: true,
		`{"Kissmetrics":false,"Kissmetrics":null}`: true,
		`{"Kissmetrics2":false,"Other":false}`:     false, `{"Mixpanel":false}`: false, `{"` + strings.Repeat(" ", 200) + `All":false}`: false,
	} {
		assert.Equal(t, want, wire.Excluded([]byte(`{"type":"track","integrations":`+integrations+`,"x":1}`)), integrations)
	}
	for data, want := range map[string]bool{
		`{"type":"track"}`: false, `[{"integrations":{"All":false}}]`: false, ``: false, `{"integrations":{"All":false}`: false,
		`{"integrations":{"All":false},"x":NaN}`: true, `{"Integrations":{"All":false}}`: false, `{"integrations":{"All":true},"integrations":{"All":false}}`: true,
	} {
		assert.Equal(t, want, wire.Excluded([]byte(data)), data)
	}
}

func TestIntegrationsOverThoseOfTheBatch(t *testing.T) {
	read := func(data string) wire.Integrations {
		i, err := wire.ReadIntegrations(jsonwalk.NewReader([]byte(data)))
		require.NoError(t, err)
		return i
	}
	for _, test := range []struct {
		message, batch string
		want           bool
	}{
		{`{}`, `{"All":false}`, true},
		{`null`, `{"All":false}`, true},
		{`{"All":true}`, `{"All":false}`, false},
		{`{"All":false}`, `{"All":true}`, true},
		{`{"All":true}`, `{"Kissmetrics":false}`, true},
		{`{"Kiss Metrics":true}`, `{"All":false,"Kissmetrics":false}`, false},
		{`{"Mixpanel":true}`, `{"Kissmetrics":false}`, true},
		{`{"Kissmetrics":{}}`, `{"All":false}`, true},
		{`{}`, `{}`, false},
	} {
		assert.Equal(t, test.want, read(test.message).Over(read(test.batch)).Excluded(), "%s over %s", test.message, test.batch)
	}
}

func FuzzParse(f *testing.F) {
	for _, data := range []string{
		`{"type":"track","userId":"u","event":"e","properties":{"a":[1,null]},"timestamp":"2026-03-02T09:00:00Z","integrations":{"All":false}}`,
		`{"type":"identify","userId":0,"anonymousId":"a","traits":[],"context":{"traits":{"a":1}},"sentAt":1772442000}`,
		`{"USER_ID":1,"EVENT_TEXT":"e","PRODUCTS":"[]","context_traits_a":1,"timestamp":NaN}`,
		`{"type":"alias","user_id":"u","properties":{}}`,
	} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		before := string(data)
		m, err := wire.Parse(data)
		again, _ := wire.Parse(data)
		require.Equal(t, before, string(data))
		require.Equal(t, m, again, "the same every time")
		_ = wire.Excluded(data)
		if err != nil {
			require.Zero(t, m)
			return
		}
		require.Contains(t, []string{"identify", "page", "screen", "track", "group", "alias"}, m.Type)
		require.True(t, m.Time.IsZero() || m.Time.Year() >= 2009)
		last := m.Time
		for _, earlier := range m.Earlier {
			require.True(t, earlier.Before(last) && earlier.Year() >= 2009)
			last = earlier
		}
	})
}
