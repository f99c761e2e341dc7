package reconcile_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

var (
	long   = strings.Repeat("é", 600)
	cutOff = strings.Repeat("é", 512)
)

func TestDifferences(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sent, exported []string
		want           []string
		counts         reconcile.Counts // beside Sent and Exported
	}{
		"nothing at all": {},
		"what is there is no difference, whatever the case, and whether a value is a number or a text": {
			sent: []string{
				`{"_p":"Ann","_n":"Signed, Up","_t":1700000000,"Seats":3,"Plan":"Pro"}`,
				`{"_p":"Ann","_t":1700000000,"City":"Malmö"}`,
			},
			exported: []string{
				`{"seats":"3","plan":"Pro","_n":"signed  up","_p":"ann","_t":1700000000}`,
				`{"city":"Malm\303\266","_p":"ann","_t":1700000000,"_ip":"::1"}`,
			},
			counts: reconcile.Counts{Arrived: 2},
		},
		"what is not there is missing": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`, `{"_p":"ann","_n":"b","_t":1700000000}`, `{"_p":"ann","_t":1700000000,"x":1}`, `{"_p":"anon","_p2":"ann","_t":1700000000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`missing: alias with 0 properties`, `missing: event "b" with 0 properties`, `missing: properties with 1 properties`},
			counts:   reconcile.Counts{Arrived: 1, Missing: 3},
		},
		"what another sent is no difference": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700000000}`, `{"_n":"c","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"bob","_t":1700000000}`, `{"x":"1","_p":"bob","_t":1700000000}`, `{"_p2":"c","_p":"bob","_t":1700000000}`},
			counts:   reconcile.Counts{Arrived: 1, Unsent: 4},
		},
		"what is sent again counts once": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`, `{"_p":"Ann","_n":"A","_t":1700000000}`, `{"_p":"bob","_n":"a","_t":1700000000}`, `{"_p":"bob","_n":"a","_t":1700000000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`missing: event "a" with 0 properties`},
			counts:   reconcile.Counts{Arrived: 1, Repeats: 2, Missing: 1},
		},
		"what is there twice is told once": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`, `{"_p":"ann","_p2":"anon","_t":1700000000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"ann","_t":1700000000}`, `{"_p2":"anon","_p":"ann","_t":1700000000}`, `{"_p2":"anon","_p":"ann","_t":1700000000}`},
			want:     []string{`twice: event "a" with 0 properties`},
			counts:   reconcile.Counts{Arrived: 2, Twice: 1},
		},
		"a number may be written in another way, but not a text": {
			sent: []string{
				`{"_p":"ann","_n":"a","_t":1700000000,"Price":1000.0,"Zero":-0.0,"m":1}`, `{"_p":"ann","_t":1700000001,"x":1e3,"y":2.50}`, `{"_p":"ann","_n":"a","_t":1700000002,"x":0.5}`,
				`{"_p":"ann","_n":"text","_t":1700000000,"Version":"1.10"}`, `{"_p":"ann","_n":"zip","_t":1700000000,"Zip":"01234","m":1}`, `{"_p":"ann","_n":"id","_t":1700000000,"ID":12345678901234567890,"m":1}`,
			},
			exported: []string{
				`{"price":"1000","zero":"0","m":"1","_n":"a","_p":"ann","_t":1700000000}`, `{"x":"1000","_p":"ann","_t":1700000001}`, `{"y":"2.5","_p":"ann","_t":1700000001}`, `{"x":"5e-1","_n":"a","_p":"ann","_t":1700000002}`,
				`{"version":"1.1","_n":"text","_p":"ann","_t":1700000000}`, `{"zip":"1234","m":"1","_n":"zip","_p":"ann","_t":1700000000}`, `{"id":"12345678901234567891","m":"1","_n":"id","_p":"ann","_t":1700000000}`,
			},
			want: []string{
				`altered (properties differ): event "id" with 2 properties [ID]`, `altered (properties differ): event "zip" with 2 properties [Zip]`,
				`dropped as a repeat (old rule): event "text" with 1 properties`,
			},
			counts: reconcile.Counts{Arrived: 3, Altered: 2, Values: 2, Dropped: 1, Unsent: 1},
		},
		"İ may be written in lower case with its dot or without": {
			sent: []string{
				`{"_p":"İrem","_n":"İade","_t":1700000000,"Şİ":"İ"}`, `{"_p":"İrem","_n":"İade","_t":1700000001}`, `{"_p":"İrem","_t":1700000002,"İl":1}`,
				`{"_p":"İrem","_p2":"İpek","_t":1700000000}`, `{"_p":"İrem","_n":"b","_t":1700000003,"İ":"İ"}`,
			},
			exported: []string{
				`{"şi\u0307":"İ","_n":"i\u0307ade","_p":"i\u0307rem","_t":1700000000}`, `{"_n":"iade","_p":"irem","_t":1700000001}`, `{"il":"1","_p":"irem","_t":1700000002}`,
				`{"_p2":"i\u0307pek","_p":"irem","_t":1700000000}`, `{"i":"i","_n":"b","_p":"irem","_t":1700000003}`,
			},
			want:   []string{`dropped as a repeat (old rule): event "b" with 1 properties`},
			counts: reconcile.Counts{Arrived: 4, Dropped: 1, Unsent: 1},
		},
		"an alias has neither a time nor a direction": {
			sent:     []string{`{"_p":"Anon","_p2":"ann","_t":1700000000}`},
			exported: []string{`{"_p2":"anon","_p":"ann","_t":1700000777}`},
			counts:   reconcile.Counts{Arrived: 1},
		},
		"properties arrived whatever the row they are in": {
			sent:     []string{`{"_p":"ann","_t":1700000000,"a":1,"b":2}`, `{"_p":"ann","_t":1700000000,"b":2,"c":3}`, `{"_p":"ann","_n":"e","_t":1700000000,"c":3}`},
			exported: []string{`{"a":"1","b":"2","_p":"ann","_t":1700000000}`, `{"c":"3","_n":"e","_p":"ann","_t":1700000000}`},
			counts:   reconcile.Counts{Arrived: 3},
		},
		"rows of properties that were sent in others are not unsent": {
			sent:     []string{`{"_p":"ann","_t":1700000000,"a":1,"b":2}`},
			exported: []string{`{"a":"1","_p":"ann","_t":1700000000}`, `{"b":"2","_p":"ann","_t":1700000000}`},
			counts:   reconcile.Counts{Arrived: 1},
		},
		"of properties, the rest is missing": {
			sent:     []string{`{"_p":"ann","_t":1700000000,"a":1,"b":2}`},
			exported: []string{`{"a":"1","_p":"ann","_t":1700000000}`},
			want:     []string{`missing: properties with 1 properties`},
			counts:   reconcile.Counts{Missing: 1},
		},
		"the old rule drops an event of the same second": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1}`, `{"_p":"ann","_n":"a","_t":1700000000,"n":2}`},
			exported: []string{`{"n":"1","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`dropped as a repeat (old rule): event "a" with 1 properties`},
			counts:   reconcile.Counts{Arrived: 1, Dropped: 1},
		},
		"the old rule drops another value of the same second": {
			sent:     []string{`{"_p":"ann","_t":1700000000,"n":1}`, `{"_p":"ann","_t":1700000000,"n":2,"m":1}`},
			exported: []string{`{"n":"1","_p":"ann","_t":1700000000}`, `{"m":"1","_p":"ann","_t":1700000000}`},
			want:     []string{`dropped as a repeat (old rule): properties with 1 properties`},
			counts:   reconcile.Counts{Arrived: 1, Dropped: 1},
		},
		"a value over 512 characters is cut": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"Long":"` + long + `","n":1}`, `{"_p":"ann","_t":1700000001,"L":"` + long + `"}`},
			exported: []string{`{"long":"` + cutOff + `","n":"1","_n":"a","_p":"ann","_t":1700000000}`, `{"l":"` + cutOff[:200] + `","_p":"ann","_t":1700000001}`},
			want:     []string{`altered (cut): event "a" with 2 properties [Long]`, `altered (cut): properties with 1 properties [L]`},
			counts:   reconcile.Counts{Altered: 2, Cut: 2},
		},
		"a value of 512 characters is not cut, but another": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"Long":"` + cutOff + `","n":1}`},
			exported: []string{`{"long":"` + cutOff[:100] + `","n":"1","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (properties differ): event "a" with 2 properties [Long]`},
			counts:   reconcile.Counts{Altered: 1, Values: 1},
		},
		"an event that lost a property is altered": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1,"m":2}`, `{"_p":"bob","_n":"a","_t":1700000000,"n":1}`},
			exported: []string{`{"n":"1","_n":"a","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"bob","_t":1700000000}`},
			want:     []string{`altered (properties differ): event "a" with 1 properties [n]`, `altered (properties differ): event "a" with 2 properties [m]`},
			counts:   reconcile.Counts{Altered: 2, Values: 2},
		},
		"the event that is most like a row is the one that was altered": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1,"m":2}`, `{"_p":"ann","_n":"a","_t":1700000000,"n":2,"m":3}`},
			exported: []string{`{"m":"3","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (properties differ): event "a" with 2 properties [n]`, `dropped as a repeat (old rule): event "a" with 2 properties`},
			counts:   reconcile.Counts{Altered: 1, Values: 1, Dropped: 1},
		},
		"an event of the same second that has nothing in common is another": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1}`},
			exported: []string{`{"url":"1","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`dropped as a repeat (old rule): event "a" with 1 properties`},
			counts:   reconcile.Counts{Dropped: 1, Unsent: 1},
		},
		"a time can be moved": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1}`, `{"_p":"ann","_t":1700000000,"n":1}`},
			exported: []string{`{"n":"1","_n":"a","_p":"ann","_t":1700003600}`, `{"n":"1","_p":"ann","_t":1699999000}`},
			want:     []string{`altered (time moved): event "a" with 1 properties`, `altered (time moved): properties with 1 properties`},
			counts:   reconcile.Counts{Altered: 2, Moved: 2},
		},
		"a second of one second was moved, and not dropped": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1}`, `{"_p":"ann","_n":"a","_t":1700000000,"n":2}`},
			exported: []string{`{"n":"1","_n":"a","_p":"ann","_t":1700000000}`, `{"n":"2","_n":"a","_p":"ann","_t":1700000001}`},
			want:     []string{`altered (time moved): event "a" with 1 properties`},
			counts:   reconcile.Counts{Arrived: 1, Altered: 1, Moved: 1},
		},
		"a value that is another is altered": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":"1.50","m":1}`},
			exported: []string{`{"m":"1","n":"1.5","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (properties differ): event "a" with 2 properties [n]`},
			counts:   reconcile.Counts{Altered: 1, Values: 1},
		},
		"a row that was moved into a second is not taken for one of that second that is like it": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1,"m":1}`, `{"_p":"ann","_n":"a","_t":1700000009,"n":2,"m":1}`},
			exported: []string{`{"m":"1","n":"2","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (time moved): event "a" with 2 properties`, `dropped as a repeat (old rule): event "a" with 2 properties`},
			counts:   reconcile.Counts{Altered: 1, Moved: 1, Dropped: 1},
		},
		"a row with a property that was not sent comes last": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000,"n":1}`, `{"_p":"ann","_n":"a","_t":1700000009,"n":1,"m":1}`},
			exported: []string{`{"m":"1","n":"1","_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (time moved): event "a" with 2 properties`, `dropped as a repeat (old rule): event "a" with 1 properties`},
			counts:   reconcile.Counts{Altered: 1, Moved: 1, Dropped: 1},
		},
		"a time that is more than a day away is another": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700086401}`},
			want:     []string{`missing: event "a" with 0 properties`},
			counts:   reconcile.Counts{Missing: 1, Unsent: 1},
		},
		"times are moved in their order": {
			sent:     []string{`{"_p":"ann","_n":"a","_t":1700000000}`, `{"_p":"ann","_n":"a","_t":1700090000}`, `{"_p":"ann","_n":"a","_t":1700300000}`},
			exported: []string{`{"_n":"a","_p":"ann","_t":1700080000}`, `{"_n":"a","_p":"ann","_t":1700080001}`, `{"_n":"a","_p":"ann","_t":1700080002}`},
			want:     []string{`altered (time moved): event "a" with 0 properties`, `altered (time moved): event "a" with 0 properties`, `missing: event "a" with 0 properties`},
			counts:   reconcile.Counts{Altered: 2, Moved: 2, Missing: 1, Unsent: 1},
		},
		"an alias of either side merges people, over several steps": {
			sent:     []string{`{"_p":"Anon","_n":"a","_t":1700000000,"n":1}`, `{"_p":"anon","_p2":"Device","_t":1700000000}`, `{"_p":"other","_n":"a","_t":1700000000}`},
			exported: []string{`{"n":"1","_n":"a","_p":"ann","_t":1700000000}`, `{"_p2":"anon","_p":"device","_t":1700000000}`, `{"_p2":"device","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (person merged): event "a" with 1 properties`, `missing: event "a" with 0 properties`},
			counts:   reconcile.Counts{Arrived: 1, Altered: 1, Merged: 1, Missing: 1, Unsent: 2},
		},
		"all at once": {
			sent:     []string{`{"_p":"anon","_n":"a","_t":1700000000,"Long":"` + long + `"}`, `{"_p":"anon","_p2":"ann","_t":1700000000}`},
			exported: []string{`{"long":"` + cutOff + `","_n":"a","_p":"ann","_t":1700000009}`, `{"_p2":"anon","_p":"ann","_t":1700000000}`},
			want:     []string{`altered (cut, time moved, person merged): event "a" with 1 properties [Long]`},
			counts:   reconcile.Counts{Arrived: 1, Altered: 1, Cut: 1, Moved: 1, Merged: 1},
		},
		"the same second comes before the same person, and that before another": {
			sent: []string{`{"_p":"anon","_p2":"ann","_t":1700000000}`, `{"_p":"anon","_n":"a","_t":1700000000}`, `{"_p":"ann","_n":"a","_t":1700000005}`},
			exported: []string{
				`{"_p2":"anon","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"ann","_t":1700000000}`, `{"_n":"a","_p":"anon","_t":1700000004}`, `{"_n":"a","_p":"ann","_t":1700000009}`,
			},
			want:   []string{`altered (person merged): event "a" with 0 properties`, `altered (time moved): event "a" with 0 properties`},
			counts: reconcile.Counts{Arrived: 1, Altered: 2, Merged: 1, Moved: 1, Unsent: 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			differences, counts := compare(t, sequence(records(t, test.sent...)), sequence(records(t, test.exported...)))
			if test.want == nil {
				test.want = []string{}
			}
			assert.Equal(t, test.want, words(differences))
			test.counts.Sent, test.counts.Exported = int64(len(test.sent)), int64(len(test.exported))
			assert.Equal(t, test.counts, counts)
		})
	}
}

func TestADifferenceHasBothRecords(t *testing.T) {
	t.Parallel()
	sent := records(t, `{"_p":"Ann","_n":"A","_t":1700000000,"N":1}`)
	exported := records(t, `{"n":"1","_n":"a","_p":"ann","_t":1700000009}`)
	differences, _ := compare(t, sequence(sent), sequence(exported))
	assert.Equal(t, []reconcile.Difference{{Kind: reconcile.Altered, Changes: reconcile.Moved, Sent: sent[0], Exported: exported[0]}}, differences)

	differences, _ = compare(t, sequence(exported), sequence(append(sent, sent...)), reconcile.WithMaxShift(time.Second))
	assert.Equal(t, []reconcile.Difference{{Kind: reconcile.Missing, Sent: exported[0]}}, differences)

	differences, _ = compare(t, sequence(sent), sequence(append(sent, sent...)))
	assert.Equal(t, []reconcile.Difference{{Kind: reconcile.Twice, Sent: sent[0], Exported: sent[0], Rows: 2}}, differences)
}

func TestAnAliasWithoutTimeComesBackWithoutTime(t *testing.T) {
	t.Parallel()
	alias := kissmetrics.NewAlias("anon", "ann", time.Time{})
	differences, _ := compare(t, sequence([]kissmetrics.Record{alias}), sequence(nil))
	require.Len(t, differences, 1)
	assert.True(t, differences[0].Sent.Time.IsZero())
}
