package kissmetrics_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestOptionsThatAreRefused(t *testing.T) {
	key := kissmetrics.WithAPIKey("s3cret")
	tests := map[string]struct {
		options []kissmetrics.Option
		want    string
	}{
		"no key":             {nil, "WithAPIKey is required"},
		"empty key":          {[]kissmetrics.Option{kissmetrics.WithAPIKey("")}, "WithAPIKey is required"},
		"key with a newline": {[]kissmetrics.Option{kissmetrics.WithAPIKey("s3cret\n")}, "white space"},
		"key with a NUL":     {[]kissmetrics.Option{kissmetrics.WithAPIKey("s3cret\x00")}, "control characters"},
		"nil option":         {[]kissmetrics.Option{key, nil}, "an option is nil"},
		"nil Doer":           {[]kissmetrics.Option{key, kissmetrics.WithDoer(nil)}, "WithDoer"},
		"nil client as Doer": {[]kissmetrics.Option{key, kissmetrics.WithDoer((*http.Client)(nil))}, "WithDoer"},
		"nil func as Doer":   {[]kissmetrics.Option{key, kissmetrics.WithDoer(kissmetrics.DoerFunc(nil))}, "WithDoer"},
		"timeout":            {[]kissmetrics.Option{key, kissmetrics.WithTimeout(0)}, "WithTimeout"},
		"attempts":           {[]kissmetrics.Option{key, kissmetrics.WithMaxAttempts(0)}, "WithMaxAttempts"},
		"backoff":            {[]kissmetrics.Option{key, kissmetrics.WithBackoff(0, time.Second)}, "WithBackoff"},
		"backoff limit":      {[]kissmetrics.Option{key, kissmetrics.WithBackoff(time.Second, 1)}, "WithBackoff"},
		"nil logger":         {[]kissmetrics.Option{key, kissmetrics.WithLogger(nil)}, "WithLogger"},
		"prefix style":       {[]kissmetrics.Option{key, kissmetrics.WithTransform(kissmetrics.TransformOptions{Prefix: 9})}, "WithTransform"},
		"nil sender":         {[]kissmetrics.Option{kissmetrics.WithSender(nil)}, "WithSender"},
		"nil transport":      {[]kissmetrics.Option{key, kissmetrics.WithTransport(nil)}, "WithTransport: the transport is nil"},
		"transport and Doer": {[]kissmetrics.Option{key, kissmetrics.WithTransport(http.DefaultTransport), kissmetrics.WithDoer(http.DefaultClient)}, "WithTransport has no effect"},
		"value length":       {[]kissmetrics.Option{key, kissmetrics.WithMaxValueLength(-1)}, "WithMaxValueLength"},
		"a longer value":     {[]kissmetrics.Option{key, kissmetrics.WithMaxValueLength(8193)}, "WithMaxValueLength: 8193 is not a number from 0 to 8192"},
		"nil on adjust":      {[]kissmetrics.Option{key, kissmetrics.WithOnAdjust(nil)}, "WithOnAdjust"},
		"sender and key":     {[]kissmetrics.Option{key, kissmetrics.WithSender(&kissmetricstest.Recorder{})}, "WithAPIKey has no effect"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client, err := kissmetrics.New(test.options...)
			require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
			require.ErrorContains(t, err, test.want)
			assert.NotContains(t, err.Error(), "s3cret")
			assert.Nil(t, client)
		})
	}
}

func TestBaseURLs(t *testing.T) {
	for _, good := range []string{
		"https://trk.kissmetrics.io", "http://localhost:8080", "https://example.com/prefix/", "http://[::1]:80", "HTTPS://example.com",
		"https://example.com/", "https://example.com/a/b", "http://[fe80::1%25eth0]:80", "https://tracking_1.example.com", "https://bücher.example",
	} {
		_, err := kissmetrics.New(kissmetrics.WithAPIKey("k"), kissmetrics.WithBaseURL(good))
		assert.NoError(t, err, good)
	}
	for _, bad := range []string{
		"", "trk.kissmetrics.com", "ftp://example.com", "//example.com", "http://", "http:example.com", "http://:80",
		"https://s3cret@example.com", "https://u:s3cret@example.com", "https://example.com?s3cret", "https://example.com/?", "https://example.com#s3cret",
		"https://example.com/#", "http://example.com:", "http://example.com:0", "http://example.com:65536", "http://example.com:s3cret",
		"http://exa mple.com", "http://example.com/%zz", "https://example.com/\x7f",
		`http://exa"mple.com`, "http://<example.com>", "http://exa,mple.com", "http://example.com//", "http://example.com/..", "http://example.com/a/../b", "http://example.com/./a", "http://example.com/a//b",
	} {
		_, err := kissmetrics.New(kissmetrics.WithAPIKey("k"), kissmetrics.WithBaseURL(bad))
		require.ErrorIs(t, err, kissmetrics.ErrInvalidOption, bad)
		assert.ErrorContains(t, err, "WithBaseURL")
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

func TestAllBadOptionsAreReportedAtOnce(t *testing.T) {
	_, err := kissmetrics.New(kissmetrics.WithTimeout(-1), kissmetrics.WithMaxAttempts(-1), kissmetrics.WithBaseURL("x"))
	assert.Len(t, strings.Split(err.Error(), "\n"), 4)
}

// What is for a client, for HTTP or for a queue is told by the compiler; these
// are the types that it goes by.
var (
	_ kissmetrics.Option       = kissmetrics.WithPrefixProperties()
	_ kissmetrics.HTTPOption   = kissmetrics.WithAPIKey("")
	_ kissmetrics.QueueOption  = kissmetrics.WithWorkers(1)
	_ kissmetrics.SharedOption = kissmetrics.WithLogger(nil)
)

func TestOptionsAreOnlyForWhatTheyConfigure(t *testing.T) {
	_, isHTTP := kissmetrics.WithTransform(kissmetrics.TransformOptions{}).(kissmetrics.HTTPOption)
	assert.False(t, isHTTP)
	_, isClient := kissmetrics.WithWorkers(1).(kissmetrics.Option)
	assert.False(t, isClient)
	_, isQueue := kissmetrics.WithAPIKey("k").(kissmetrics.QueueOption)
	assert.False(t, isQueue)
}

func TestClientOptionsReachTheTransform(t *testing.T) {
	var recorder kissmetricstest.Recorder
	client, err := kissmetrics.New(kissmetrics.WithSender(&recorder), kissmetrics.WithTransform(kissmetrics.TransformOptions{
		Prefix: kissmetrics.PrefixSpacedHyphen, AliasOnIdentify: true, OrderTotalAsRevenue: true,
	}))
	require.NoError(t, err)
	require.NoError(t, client.Identify(t.Context(), kissmetrics.Identify{UserID: "u", AnonymousID: "a", Timestamp: second}))
	require.NoError(t, client.Track(t.Context(), kissmetrics.Track{UserID: "u", Event: "Order Completed", Timestamp: second, Properties: kissmetrics.Properties{"total": 5}}))
	records := recorder.Records()
	require.Len(t, records, 3)
	assert.Equal(t, kissmetrics.KindAlias, records[0].Kind)
	assert.Equal(t, "5", records[2].Values().Get("Order Completed - revenue"))
}

// WithPrefixProperties, WithStrict and WithMaxValueLength are short for a member of
// TransformOptions, and leave what WithTransform said of the others.
func TestOptionsThatAreShortForOneOfTheTransform(t *testing.T) {
	long := kissmetrics.Track{UserID: "u", Event: "E", Timestamp: second, Properties: kissmetrics.Properties{"p": strings.Repeat("x", 600)}}
	for name, test := range map[string]struct {
		option kissmetrics.Option
		want   kissmetrics.TransformOptions
	}{
		"prefix":       {kissmetrics.WithPrefixProperties(), kissmetrics.TransformOptions{Prefix: kissmetrics.PrefixHyphen}},
		"strict":       {kissmetrics.WithStrict(), kissmetrics.TransformOptions{Strict: true}},
		"value length": {kissmetrics.WithMaxValueLength(550), kissmetrics.TransformOptions{MaxValueLength: 550}},
	} {
		t.Run(name, func(t *testing.T) {
			var recorder kissmetricstest.Recorder
			client, err := kissmetrics.New(kissmetrics.WithSender(&recorder),
				kissmetrics.WithTransform(kissmetrics.TransformOptions{OrderTotalAsRevenue: true}), test.option)
			require.NoError(t, err)
			test.want.OrderTotalAsRevenue = true
			order := kissmetrics.Track{UserID: "u", Event: "Order Completed", Timestamp: second, Properties: kissmetrics.Properties{"total": 5}}
			var want []kissmetrics.Record
			for _, message := range []kissmetrics.Track{long, order} {
				records, _, wantErr := kissmetrics.Transform(message, second, test.want)
				assert.Equal(t, wantErr, client.Track(t.Context(), message))
				want = append(want, records...)
			}
			assert.Equal(t, want, recorder.Records())
		})
	}
}

// flusher is a Sender with a Flush method.
type flusher struct {
	kissmetricstest.Recorder
	err error
}

func (f *flusher) Flush(context.Context) error { return f.err }

func TestCloseAndFlush(t *testing.T) {
	want := errors.New("not flushed")
	client, err := kissmetrics.New(kissmetrics.WithSender(&flusher{err: want}))
	require.NoError(t, err)
	require.ErrorIs(t, client.Flush(t.Context()), want)
	require.ErrorIs(t, client.Close(t.Context()), want)
	require.ErrorIs(t, client.Close(t.Context()), want)
	require.ErrorIs(t, client.Track(t.Context(), ok), kissmetrics.ErrClosed)

	server := kissmetricstest.NewServer(t)
	client = newClient(t, kissmetrics.WithBaseURL(server.URL))
	require.NoError(t, client.Track(t.Context(), ok))
	require.NoError(t, client.Flush(t.Context()))
	require.NoError(t, client.Close(t.Context()))
	require.ErrorIs(t, client.Track(t.Context(), ok), kissmetrics.ErrClosed)
	assert.Len(t, server.Requests(), 1)
}

func TestAKeyThatDoesNotLookLikeOneIsToldOnce(t *testing.T) {
	for key, want := range map[string]int{
		"0123456789abcdef0123456789abcdef01234567": 0,
		"0123456789ABCDEF0123456789abcdef012345":   0,
		"12345":                                    1,
		"6f9619ff-8b86-d011-b42d-00cf4fc964ff":     1,
		"6f9619ff8b86d011b42d00cf4fc964ff":         1,
		"0123456789abcdef0123456789abcdef0123456x": 1,
	} {
		var log bytes.Buffer
		server := kissmetricstest.NewServer(t)
		client, err := kissmetrics.New(kissmetrics.WithAPIKey(key), kissmetrics.WithBaseURL(server.URL),
			kissmetrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), kissmetrics.WithQueue())
		require.NoError(t, err)
		require.NoError(t, client.Track(t.Context(), ok))
		require.NoError(t, client.Close(t.Context()))
		assert.Equal(t, want, strings.Count(log.String(), "does not look like one"), log.String())
		assert.NotContains(t, log.String(), key)
	}
}
