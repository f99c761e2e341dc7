package kmq_test

import (
	"html/template"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/kmq"
)

var opened = kissmetrics.Record{
	Kind: kissmetrics.KindEvent, Person: "ada+1@example.com", Name: "Viewed E-mail",
	Properties: []kissmetrics.Property{{Name: "Campaign", Value: `"spring" & <more>`}},
}

func TestBeacon(t *testing.T) {
	got, err := kmq.Beacon(opened, kissmetrics.WithAPIKey("key"))
	require.NoError(t, err)
	assert.Equal(t, template.HTML(`<img src="https://trk.kissmetrics.io/e?Campaign=%22spring%22%20%26%20%3Cmore%3E&amp;_k=key`+
		`&amp;_n=Viewed%20E-mail&amp;_p=ada%2B1%40example.com" alt="" width="1" height="1">`), got)
}

// A beacon says when it was opened by being asked for, not by what it says.
func TestBeaconHasNoTime(t *testing.T) {
	server := kissmetricstest.NewServer(t)
	timed := opened
	timed.Time = noon.AddDate(-3, 0, 0)
	address, err := kmq.BeaconURL(timed, kissmetrics.WithAPIKey("key"), kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, err)
	assert.Empty(t, server.Requests(), "making it sends nothing")

	start := time.Now().Truncate(time.Second)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get(address)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())

	assert.Equal(t, "image/gif", response.Header.Get("Content-Type"))
	assert.Empty(t, server.Ignored())
	events := server.Events("ada+1@example.com")
	require.Len(t, events, 1)
	assert.Equal(t, "Viewed E-mail", events[0].Name)
	assert.Equal(t, map[string]string{"Campaign": `"spring" & <more>`}, events[0].Properties)
	assert.False(t, events[0].Time.Before(start))
	assert.Equal(t, "/e", server.Requests()[0].Path)
}

func TestBeaconOfProperties(t *testing.T) {
	record := kissmetrics.Record{Kind: kissmetrics.KindProperties, Person: "u", Properties: opened.Properties}
	got, err := kmq.BeaconURL(record, kissmetrics.WithAPIKey("key"))
	require.NoError(t, err)
	assert.Equal(t, "https://trk.kissmetrics.io/s?Campaign=%22spring%22%20%26%20%3Cmore%3E&_k=key&_p=u", got)
}

func TestBeaconRefuses(t *testing.T) {
	key := kissmetrics.WithAPIKey("key")
	for name, test := range map[string]struct {
		change  func(*kissmetrics.Record)
		options []kissmetrics.HTTPOption
		option  bool // whether an option is wrong, rather than the record
	}{
		"no key":    {func(*kissmetrics.Record) {}, nil, true},
		"no server": {func(*kissmetrics.Record) {}, []kissmetrics.HTTPOption{key, kissmetrics.WithBaseURL("trk.kissmetrics.io")}, true},
		"no person": {func(r *kissmetrics.Record) { r.Person = "" }, []kissmetrics.HTTPOption{key}, false},
		"no name":   {func(r *kissmetrics.Record) { r.Name = "" }, []kissmetrics.HTTPOption{key}, false},
		"no kind":   {func(r *kissmetrics.Record) { r.Kind = 0 }, []kissmetrics.HTTPOption{key}, false},
		"an alias":  {func(r *kissmetrics.Record) { r.Kind, r.Properties = kissmetrics.KindAlias, nil }, []kissmetrics.HTTPOption{key}, false},
		"too long a link": {func(r *kissmetrics.Record) {
			r.Properties = []kissmetrics.Property{{Name: "x", Value: strings.Repeat("x", 2048)}}
		}, []kissmetrics.HTTPOption{key}, false},
	} {
		t.Run(name, func(t *testing.T) {
			record := opened
			test.change(&record)
			html, err := kmq.Beacon(record, test.options...)
			assert.Empty(t, html)
			if test.option {
				require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
				return
			}
			var wrong *kissmetrics.ValidationError
			require.ErrorAs(t, err, &wrong)
		})
	}
}
