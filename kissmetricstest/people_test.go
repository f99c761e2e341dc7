package kissmetricstest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

var oldRule = []kissmetricstest.Option{kissmetricstest.WithOldDuplicateRule()}

func TestDuplicates(t *testing.T) {
	t.Parallel()
	repeat := drop{reason: kissmetricstest.ReasonDuplicateEvent}
	run(t, []rule{
		{
			name: "an event is ignored if all of it was seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro&Seats=3" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up&Seats=3&Plan=Pro" + first,
				"/e?_k=key&_p=ANN&_n=Signed,up&SEATS=3&plan=Pro&_ip=::1" + first,
			},
			events:     events{event("Signed Up", 0, values{"Plan": "Pro", "Seats": "3"})},
			properties: values{"Plan": "Pro", "Seats": "3"},
			ignored:    []drop{repeat, repeat},
		},
		{
			name: "an event of one second with another property or value is kept",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up&Browser=ff" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=pro" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up" + first,
			},
			events: events{
				event("Signed Up", 0, values{"Browser": "ff"}), event("Signed Up", 0, values{"Plan": "Pro"}),
				event("Signed Up", 0, values{"Plan": "pro"}), event("Signed Up", 0, nil),
			},
			properties: values{"Browser": "ff", "Plan": "pro"},
			warned: []drop{
				{reason: kissmetricstest.ReasonSameSecond}, {reason: kissmetricstest.ReasonSameSecond},
				{kissmetricstest.ReasonSameSecond, "Plan"}, {reason: kissmetricstest.ReasonSameSecond},
			},
		},
		{
			name: "an event of another person or name or second is none of those seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up" + first,
				"/e?_k=key&_p=bob&_n=Signed+Up" + first,
				"/e?_k=key&_p=ann&_n=Signed+In" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up" + next,
			},
			events: events{event("Signed Up", 0, nil), event("Signed In", 0, nil), event("Signed Up", 1, nil)},
		},
		{
			name: "another value of a property in one second is kept and the last is the latest",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=ann&PLAN=Basic" + first,
			},
			properties: values{"Plan": "Basic"},
			warned:     []drop{{kissmetricstest.ReasonSameSecond, "PLAN"}},
		},
		{
			name: "properties are ignored if all of them were seen",
			requests: []string{
				"/s?_k=key&_p=ann&Plan:Type=Pro&Seats=3" + first,
				"/s?_k=key&_p=ann&plan,TYPE=Pro" + first,
			},
			properties: values{"Plan Type": "Pro", "Seats": "3"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "plan,TYPE"}},
		},
		{
			name: "a property that was seen does no harm beside a new one or in an event",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=ann&Plan=Pro&Seats=3" + first,
				"/e?_k=key&_p=ann&_n=n&Plan=Pro" + first,
			},
			events:     events{event("n", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro", "Seats": "3"},
		},
		{
			name: "letters beyond ASCII have no case either",
			requests: []string{
				"/e?_k=key&_p=ÉVE&_n=n" + first, "/a?_k=key&_p=ann&_n=éve",
				"/s?_k=key&_p=ann&État=1" + first, "/s?_k=key&_p=ann&éTAT=2" + next,
			},
			events:     events{event("n", 0, nil)},
			properties: values{"État": "2"},
		},
		{
			name:       "two properties of one request may be one",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&Plan=Pro&plan=Basic&A=1&A=2&B=3&b=3&B=3" + first},
			events:     events{event("n", 0, values{"Plan": "Pro", "A": "1", "B": "3"})},
			properties: values{"Plan": "Pro", "A": "1", "B": "3"},
			ignored:    []drop{{kissmetricstest.ReasonSameName, "A"}, {kissmetricstest.ReasonSameName, "plan"}},
		},
	})
}

func TestOldDuplicates(t *testing.T) {
	t.Parallel()
	duplicate := drop{reason: kissmetricstest.ReasonDuplicateEvent}
	run(t, []rule{
		{
			name: "an event is ignored if person and name and second were seen but not its new properties",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed:Up&Browser=ff&Plan=Pro" + first,
				"/e?_k=key&_p=Ann&_n=SIGNED+UP&Plan=Basic&Seats=3" + first,
			},
			options:    oldRule,
			events:     events{event("Signed Up", 0, values{"Browser": "ff", "Plan": "Pro", "Seats": "3"})},
			properties: values{"Browser": "ff", "Plan": "Pro", "Seats": "3"},
			ignored:    []drop{duplicate, {kissmetricstest.ReasonDuplicateValue, "Plan"}},
		},
		{
			name: "a property is ignored if person and name and second were seen whatever the value",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=ann&plan=Basic&Seats=3" + first,
				"/s?_k=key&_p=ann&Plan=Pro" + first,
			},
			options:    oldRule,
			properties: values{"Plan": "Pro", "Seats": "3"},
			ignored: []drop{
				{kissmetricstest.ReasonDuplicateValue, "plan"},
				{kissmetricstest.ReasonDuplicateValue, "Plan"},
			},
		},
		{
			name: "a property of another person or second is none of those seen",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=bob&Plan=Team" + first,
				"/s?_k=key&_p=ann&Plan=Basic" + next,
			},
			options:    oldRule,
			properties: values{"Plan": "Basic"},
		},
		{
			name: "an event whose property was seen is kept with the value seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=one&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=two&Plan=Basic" + first,
			},
			options:    oldRule,
			events:     events{event("one", 0, values{"Plan": "Pro"}), event("two", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "Plan"}},
		},
	})
}

func TestIdentitiesHaveNoCase(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/s?_k=key&_p=Bob@x.com&v=1"+first)
	get(t, client, server, "/s?_k=key&_p=bob@X.com&w=1"+first)
	assert.Equal(t, values{"v": "1", "w": "1"}, server.Properties("BOB@x.com"))
	assert.Equal(t, []string{"Bob@x.com"}, server.Identities("bob@x.com"), "spelled as first seen")
}

func TestIdentitiesHaveCaseWhereItIsWanted(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t, kissmetricstest.WithCaseSensitiveIdentities()), newHTTPClient(t)
	get(t, client, server, "/s?_k=key&_p=Bob@x.com&v=1"+first)
	get(t, client, server, "/s?_k=key&_p=bob@x.com&w=1"+first)
	assert.Equal(t, values{"v": "1"}, server.Properties("Bob@x.com"))
	assert.Equal(t, values{"w": "1"}, server.Properties("bob@x.com"))
	assert.Empty(t, server.Identities("BOB@x.com"))
	get(t, client, server, "/a?_k=key&_p=Bob@x.com&_n=bob@x.com")
	assert.Equal(t, []string{"Bob@x.com", "bob@x.com"}, server.Identities("bob@x.com"))
	assert.Empty(t, server.Warnings())
}

func TestAlias(t *testing.T) {
	t.Parallel()
	const (
		annPro   = "/e?_k=key&_p=ann&_n=one&Plan=Pro" + first
		bobBasic = "/e?_k=key&_p=bob&_n=two&Plan=Basic&Seats=3" + next
	)
	alias := func(a, b string) string { return "/a?_k=key&_p=" + a + "&_n=" + b }
	both := events{
		event("one", 0, values{"Plan": "Pro"}),
		event("two", 1, values{"Plan": "Basic", "Seats": "3"}),
	}
	merged := values{"Plan": "Basic", "Seats": "3"}
	for _, c := range []struct {
		name       string
		requests   []string
		identities []string
		events     events
		properties values
	}{
		{"nobody is merged without an alias", []string{annPro, bobBasic}, []string{"ann"}, both[:1], values{"Plan": "Pro"}},
		{"two identities are one person with what both did and have", []string{annPro, bobBasic, alias("ann", "bob")}, []string{"ann", "bob"}, both, merged},
		{"the direction does not matter", []string{annPro, bobBasic, alias("bob", "ann")}, []string{"ann", "bob"}, both, merged},
		{"an alias may come before any event", []string{alias("ann", "bob"), bobBasic, annPro}, []string{"ann", "bob"}, both, merged},
		{"an alias may come between events", []string{bobBasic, alias("ann", "bob"), annPro}, []string{"ann", "bob"}, both, merged},
		{"aliases reach over others", []string{alias("ann", "x"), annPro, alias("y", "bob"), alias("x", "y"), bobBasic}, []string{"ann", "bob", "x", "y"}, both, merged},
		{"aliases with a common identity make one person", []string{annPro, bobBasic, alias("ann", "x"), alias("bob", "x")}, []string{"ann", "bob", "x"}, both, merged},
		{"an alias to itself does no harm", []string{annPro, alias("ann", "ann")}, []string{"ann"}, both[:1], values{"Plan": "Pro"}},
		{"an alias twice does no harm", []string{annPro, alias("ann", "bob"), bobBasic, alias("ann", "bob")}, []string{"ann", "bob"}, both, merged},
		{"a cycle does no harm", []string{alias("ann", "bob"), alias("bob", "x"), alias("x", "ann"), alias("bob", "ann"), annPro, bobBasic}, []string{"ann", "bob", "x"}, both, merged},
		{"an alias alone makes both known", []string{alias("ann", "bob")}, []string{"ann", "bob"}, nil, values{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
			for _, target := range c.requests {
				requirePicture(t, get(t, client, server, target))
			}
			for _, identity := range c.identities {
				assert.Equal(t, c.identities, server.Identities(identity))
				assert.Equal(t, c.events, server.Events(identity))
				assert.Equal(t, c.properties, server.Properties(identity))
			}
			assert.Empty(t, server.Ignored())
		})
	}
}

// An event is a duplicate by the identity it came with, so a merged person can
// have it twice.
func TestAliasKeepsWhatBothDidInTheSameSecond(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/e?_k=key&_p=ann&_n=n&Plan=Pro"+first)
	get(t, client, server, "/a?_k=key&_p=ann&_n=bob")
	get(t, client, server, "/e?_k=key&_p=bob&_n=n&Plan=Basic"+first)
	assert.Equal(t, events{
		event("n", 0, values{"Plan": "Pro"}), event("n", 0, values{"Plan": "Basic"}),
	}, server.Events("bob"))
	assert.Equal(t, []kissmetricstest.Value{
		{Time: at(second), Value: "Pro"}, {Time: at(second), Value: "Basic"},
	}, server.History("ann", "Plan"))
	assert.Equal(t, values{"Plan": "Basic"}, server.Properties("ann"))
	assert.Empty(t, server.Ignored())
}

func TestNobodyHasNothing(t *testing.T) {
	t.Parallel()
	server := kissmetricstest.NewServer(t)
	assert.Empty(t, server.Events("nobody"))
	assert.Empty(t, server.Properties("nobody"))
	assert.Empty(t, server.History("nobody", "Plan"))
	assert.Empty(t, server.Identities("nobody"))
	assert.Empty(t, server.Requests())
	assert.Empty(t, server.Ignored())
	assert.Zero(t, server.Connections())
}

func TestEventsHistoryAndPropertiesGoByTimeNotByArrival(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	for _, target := range []string{
		"/e?_k=key&_p=ann&_n=late&Plan=Late&_d=1&_t=1700000009",
		"/s?_k=key&_p=ann&plan=Middle&_d=1&_t=1700000005",
		"/e?_k=key&_p=ann&_n=early&PLAN=Early&_d=1&_t=1700000000",
	} {
		requirePicture(t, get(t, client, server, target))
	}
	assert.Equal(t, events{
		event("early", 0, values{"Plan": "Early"}), event("late", 9, values{"Plan": "Late"}),
	}, server.Events("ann"))
	history := []kissmetricstest.Value{
		{Time: at(second), Value: "Early"}, {Time: at(second + 5), Value: "Middle"}, {Time: at(second + 9), Value: "Late"},
	}
	assert.Equal(t, history, server.History("ann", "Plan"))
	assert.Equal(t, history, server.History("ann", "pLAN"), "names have no case")
	assert.Empty(t, server.History("ann", "Seats"))
	assert.Equal(t, values{"Plan": "Late"}, server.Properties("ann"), "spelled as first seen")
	assert.Equal(t, []string{"ann"}, server.Identities("ann"))
}

func TestHistoryReadsCommasAndColonsAsSpaces(t *testing.T) {
	t.Parallel()
	server, client := kissmetricstest.NewServer(t), newHTTPClient(t)
	get(t, client, server, "/s?_k=key&_p=ann&Plan+Type=Pro"+first)
	for _, name := range []string{"Plan Type", "plan:type", "PLAN,TYPE"} {
		assert.Equal(t, []kissmetricstest.Value{{Time: at(second), Value: "Pro"}}, server.History("ann", name))
	}
}
