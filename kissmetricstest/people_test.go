package kissmetricstest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
)

func TestDuplicates(t *testing.T) {
	t.Parallel()
	duplicate := drop{reason: kissmetricstest.ReasonDuplicateEvent}
	run(t, []rule{
		{
			name: "an event is ignored if person and name and second were seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=Signed+Up&Plan=Basic&Seats=3" + first,
			},
			events:     events{event("Signed Up", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{duplicate},
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
			name: "events are compared without regard to case and with spaces for commas and colons",
			requests: []string{
				"/e?_k=key&_p=ann&_n=Signed:Up,Now" + first,
				"/e?_k=key&_p=ann&_n=SIGNED+UP+NOW" + first,
			},
			events:  events{event("Signed Up Now", 0, nil)},
			ignored: []drop{duplicate},
		},
		{
			name: "a property is ignored if person and name and second were seen whatever the value",
			requests: []string{
				"/s?_k=key&_p=ann&Plan=Pro" + first,
				"/s?_k=key&_p=ann&Plan=Basic" + first,
				"/s?_k=key&_p=ann&Plan=Pro" + first,
			},
			properties: values{"Plan": "Pro"},
			ignored: []drop{
				{kissmetricstest.ReasonDuplicateValue, "Plan"},
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
			properties: values{"Plan": "Basic"},
		},
		{
			name: "properties are compared without regard to case and with spaces for commas and colons",
			requests: []string{
				"/s?_k=key&_p=ann&Plan:Type=Pro" + first,
				"/s?_k=key&_p=ann&plan,TYPE=Basic" + first,
				"/s?_k=key&_p=ann&PLAN+TYPE=Team" + next,
			},
			properties: values{"Plan Type": "Team"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "plan,TYPE"}},
		},
		{
			name:       "two properties of one request may be one",
			requests:   []string{"/e?_k=key&_p=ann&_n=n&Plan=Pro&plan=Basic" + first},
			events:     events{event("n", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "plan"}},
		},
		{
			name: "an event whose property was seen is kept with the value seen",
			requests: []string{
				"/e?_k=key&_p=ann&_n=one&Plan=Pro" + first,
				"/e?_k=key&_p=ann&_n=two&Plan=Basic" + first,
			},
			events:     events{event("one", 0, values{"Plan": "Pro"}), event("two", 0, values{"Plan": "Pro"})},
			properties: values{"Plan": "Pro"},
			ignored:    []drop{{kissmetricstest.ReasonDuplicateValue, "Plan"}},
		},
	})
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
