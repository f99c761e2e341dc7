package kissmetricstest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

// failure is a test that notes that it failed.
type failure struct{ text string }

func (f *failure) Helper() {}

func (f *failure) Fatalf(format string, args ...any) { f.text = fmt.Sprintf(format, args...) }

func TestRequire(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for _, target := range []string{
		"/e?_k=secret&_p=ann&_n=Signed+Up&Plan=Pro&Seats=3" + first,
		"/e?_k=secret&_p=ann&_n=Opened&Door=1" + first,
		"/e?_k=secret&_p=ann&_n=Opened&Door=2" + next,
		"/a?_k=secret&_p=ann&_n=bob",
		"/s?_k=secret&_p=cy&Plan=Basic" + first,
		"/s?_k=secret&_p=cy&Plan=Team" + next,
	} {
		requirePicture(t, get(t, client, server, target))
	}
	for name, c := range map[string]struct {
		require func(t kissmetricstest.TestingT)
		fails   string // a part of the text, or nothing
	}{
		"an event": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "BOB", "signed,up", kissmetrics.Text("seats", "3"), kissmetrics.Text("Plan", "Pro"))
		}, ""},
		"an event with another value": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "ann", "Signed Up", kissmetrics.Text("Plan", "pro"))
		}, `want one event "Signed Up" of "ann" with {"Plan": "pro"}, got 0.`},
		"an event without the property": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "ann", "Signed Up", kissmetrics.Text("Door", "1"))
		}, "got 0."},
		"an event of another person": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "cy", "Signed Up")
		}, `properties map["Plan":"Team"]`},
		"an event that was done twice": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "ann", "Opened")
		}, "got 2."},
		"one of two by its property": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireEvent(t, server, "ann", "Opened", kissmetrics.Text("Door", "2"))
		}, ""},
		"no event": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireNoEvent(t, server, "ann", "Signed Up", kissmetrics.Text("Plan", "Basic"))
			kissmetricstest.RequireNoEvent(t, server, "cy", "Signed Up")
		}, ""},
		"no event where there is one": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireNoEvent(t, server, "ann", "SIGNED UP")
		}, `want no event "SIGNED UP" of "ann", got 1.`},
		"a property": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireProperty(t, server, "cy", "PLAN", "Team")
		}, ""},
		"a property with an earlier value": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireProperty(t, server, "cy", "Plan", "Basic")
		}, `want the property "Plan" of "cy" to be "Basic", got "Team".`},
		"a property that is not there": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireProperty(t, server, "cy", "Seats", "")
		}, "got none."},
		"one person": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireOnePerson(t, server, "Ann", "bob", "BOB")
		}, ""},
		"one person of two": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireOnePerson(t, server, "ann", "bob", "cy")
		}, `["cy"] apart`},
		"one person with nobody": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireOnePerson(t, server, "ann", "nobody")
		}, `["nobody"] apart`},
		"one person that is nobody": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireOnePerson(t, server, "nobody", "nobody")
		}, "apart"},
		"one person that is nobody alone": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireOnePerson(t, server, "nobody")
		}, "apart"},
		"nothing ignored": {func(t kissmetricstest.TestingT) {
			kissmetricstest.RequireNoIgnored(t, server)
			kissmetricstest.RequireClean(t, server)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var got failure
			c.require(&got)
			if c.fails == "" {
				assert.Empty(t, got.text)
			} else {
				assert.Contains(t, got.text, c.fails)
				assert.NotContains(t, got.text, "secret")
			}
		})
	}
	got := kissmetricstest.RequireEvent(t, server, "ann", "Signed Up")
	assert.Equal(t, event("Signed Up", 0, values{"Plan": "Pro", "Seats": "3"}), got)
}

func TestRequireTellsWhatWasNotTaken(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	var got failure

	get(t, client, server, "/s?_k=secret&_p=ann&Plan=%7B%7D"+first)
	kissmetricstest.RequireNoIgnored(&got, server)
	require.Empty(t, got.text, "a warning is not a loss")
	kissmetricstest.RequireClean(&got, server)
	require.Contains(t, got.text, `warning: GET /s of "ann" "": a value in JSON, which Kissmetrics does not read ("Plan")`)

	get(t, client, server, "/e?_k=secret&_p=ann&_n=+"+first)
	for _, check := range []func(){
		func() { kissmetricstest.RequireNoIgnored(&got, server) },
		func() { kissmetricstest.RequireClean(&got, server) },
		func() { kissmetricstest.RequireEvent(&got, server, "ann", "Signed Up") },
	} {
		got.text = ""
		check()
		require.Contains(t, got.text, `ignored: GET /e of "ann" " ": no name`)
		require.NotContains(t, got.text, "secret")
	}
}
