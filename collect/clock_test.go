package collect_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/collect"
)

const (
	aDay  = 24 * time.Hour
	aYear = 365 * aDay
)

func TestClocks(t *testing.T) {
	// A batch with a messageId and a time, sent by a clock that is off.
	for name, test := range map[string]struct {
		path, sentAt, times string
		off                 time.Duration // of the sender's clock
		want                time.Duration // by which the time is corrected
		options             []collect.Option
	}{
		"a right clock":                 {off: 0, want: 0},
		"off by seconds":                {off: 40 * time.Second, want: 0},
		"ahead by less than half":       {off: 7*time.Minute + 29*time.Second, want: 0},
		"ahead by half a step":          {off: 7*time.Minute + 30*time.Second, want: -15 * time.Minute},
		"ahead by one zone":             {off: time.Hour, want: -time.Hour},
		"ahead, but not by whole steps": {off: 20 * time.Minute, want: -30 * time.Minute}, // and not in the future
		"ahead by hours and a second":   {off: 3*time.Hour + time.Second, want: -3 * time.Hour},
		"ahead by hours and seconds":    {off: 3*time.Hour + 2*time.Second, want: -3*time.Hour - time.Minute}, // and not in the future
		"ahead by hours and a minute":   {off: 3*time.Hour + 59*time.Second, want: -3*time.Hour - time.Minute},
		"ahead by hours and more":       {off: 3*time.Hour + 61*time.Second, want: -3*time.Hour - 15*time.Minute},
		"behind by hours, less seconds": {off: -3*time.Hour + 9*time.Second, want: 3*time.Hour - time.Minute},
		"another step, and seconds":     {off: time.Minute + 14*time.Second, want: -75 * time.Second, options: []collect.Option{collect.WithClockStep(30 * time.Second)}},
		"behind by nearly a step":       {off: -13*time.Minute - 59*time.Second, want: 0},
		"behind by a step":              {off: -15 * time.Minute, want: 15 * time.Minute},
		"behind by hours":               {off: -3*time.Hour - 4*time.Minute, want: 3 * time.Hour},
		"Nepal's clock in UTC":          {off: 5*time.Hour + 45*time.Minute, want: -5*time.Hour - 45*time.Minute},
		"ahead by a year":               {off: aYear, want: -aYear},
		"another step":                  {off: -40 * time.Second, want: 30 * time.Second, options: []collect.Option{collect.WithClockStep(30 * time.Second)}},
		"no step":                       {off: -40 * time.Hour, want: 0, options: []collect.Option{collect.WithClockStep(0)}},
		"on the path for history":       {path: "/v1/import", off: -3 * time.Hour, want: 3 * time.Hour},
		"RudderStack's form":            {times: "originalTimestamp", off: -time.Hour, want: time.Hour},
		"a time that the caller set":    {times: "both", off: -time.Hour, want: 0},
		"the message's sentAt wins":     {sentAt: "message", off: time.Hour, want: -time.Hour},
		"nobody says when it was sent":  {sentAt: "none", off: -time.Hour, want: 0},
		"sentAt in milliseconds":        {sentAt: "number", off: -time.Hour, want: time.Hour},
		"sentAt as Segment's old Go":    {sentAt: "+0000", off: -time.Hour, want: time.Hour},
		"sentAt without a zone":         {sentAt: "bare", off: -time.Hour, want: time.Hour},
		"the message's sentAt is null":  {sentAt: "null", off: -time.Hour, want: time.Hour},
		"the message's sentAt is Go's":  {sentAt: "zero in the message", off: -time.Hour, want: time.Hour},
		"the other time is no time":     {times: "garbage", off: -time.Hour, want: time.Hour},
		"a sentAt that is none":         {sentAt: "wrong", off: -time.Hour, want: 0},
		"a sentAt that Go has not set":  {sentAt: "zero", off: -time.Hour, want: 0},
		"a timestamp that Go has not":   {times: "zero", off: -time.Hour, want: time.Hour},
		"a timestamp that is null":      {times: "null", off: -time.Hour, want: time.Hour},
		"a timestamp that is empty":     {times: "empty", off: -time.Hour, want: time.Hour},
		"a message without a messageId": {sentAt: "no id", off: -time.Hour, want: 0},
		"offline for days":              {off: -3 * aDay, want: 0}, // or a clock that is behind by as much
		"a clock that began in 1970":    {off: -57 * aYear, want: 57 * aYear},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toToday()
				now := time.Now().UTC()
				happened := now.Add(test.off - aDay) // by the sender's clock
				sent := `"sentAt":` + stamp(now.Add(test.off))
				message, envelope := `"messageId":"m",`, sent+","
				switch test.sentAt {
				case "message":
					message, envelope = message+sent+",", `"sentAt":`+stamp(now)+","
				case "number":
					envelope = fmt.Sprintf(`"sentAt":%d,`, now.Add(test.off).UnixMilli())
				case "+0000", "bare":
					form := map[string]string{"+0000": "2006-01-02T15:04:05-0700", "bare": "2006-01-02 15:04:05"}[test.sentAt]
					envelope = `"sentAt":"` + now.Add(test.off).Format(form) + `",`
				case "null":
					message += `"sentAt":null,`
				case "zero in the message":
					message += `"sentAt":"0001-01-01T00:00:00Z",`
				case "none":
					envelope = ""
				case "zero":
					envelope = `"sentAt":"0001-01-01T00:00:00Z",`
				case "wrong":
					envelope = `"sentAt":"yesterday",`
				case "no id":
					message = ""
				}
				switch test.times {
				case "":
					message += `"timestamp":` + stamp(happened)
				case "zero":
					message += `"timestamp":"0001-01-01T00:00:00Z","originalTimestamp":` + stamp(happened)
				case "garbage":
					message += `"originalTimestamp":"garbage","timestamp":` + stamp(happened)
				case "null", "empty":
					message += map[string]string{"null": `"timestamp":null,`, "empty": `"timestamp":"",`}[test.times] + `"originalTimestamp":` + stamp(happened)
				case "both":
					message += `"originalTimestamp":` + stamp(now) + `,"timestamp":` + stamp(happened)
				default:
					message += `"` + test.times + `":` + stamp(happened)
				}
				path := "/v1/batch"
				if test.path != "" {
					path = test.path
				}
				r := newReceiver(t, test.options...)
				for _, kind := range []string{"track", "identify", "page", "screen", "group", "alias"} {
					a := r.do(t, path, `{`+envelope+`"batch":[{"type":"`+kind+`","userId":"u","event":"E","groupId":"g","previousId":"p",`+message+`}]}`)
					require.Equal(t, http.StatusOK, a.status, a.text)
				}
				records := r.recorder.Records()
				require.Len(t, records, 6)
				for _, record := range records {
					assert.Equal(t, happened.Add(test.want).Truncate(time.Second), record.Time, record.Kind)
				}
			})
		})
	}
}

// The calendars of phones count years otherwise. Both times do, so the difference says
// when it happened.
func TestCalendars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		now := time.Now().UTC()
		happened := now.Add(-5 * time.Minute)
		for name, year := range map[string]string{
			"Buddhist": "2569", "Japanese, Reiwa": "0008", "Taiwan's": "0115", "of a clock that began anew": "1990",
		} {
			in := func(t time.Time) string { return year + t.Format("-01-02T15:04:05.000Z") }
			r := newReceiver(t)
			body := fmt.Sprintf(`{"sentAt":"%s","batch":[{"type":"track","messageId":"m","userId":"u","event":"E","timestamp":"%s"}]}`, in(now), in(happened))
			require.Equal(t, http.StatusOK, r.do(t, "/v1/batch", body).status)
			require.Len(t, r.recorder.Records(), 1)
			assert.Equal(t, happened.Truncate(time.Second), r.recorder.Records()[0].Time, name)
		}
	})
}

func TestNothingThatIsCorrectedHappensAfterItsReceipt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		for _, library := range []string{"analytics.js", "analytics-kotlin", "?"} {
			for off := 9 * time.Minute; off < 50*time.Hour; off += off/7 + 11*time.Second {
				for _, ahead := range []time.Duration{off, -off} {
					for _, transit := range []time.Duration{0, 50 * time.Millisecond, 40 * time.Second} {
						device := time.Now().UTC().Add(ahead)
						time.Sleep(transit)
						r := newReceiver(t)
						r.do(t, "/v1/batch", fmt.Sprintf(`{"sentAt":%s,"batch":[{"type":"track","messageId":"m","userId":"u","event":"E","timestamp":%[1]s,"context":{"library":{"name":"%s"}}}]}`,
							stamp(device), library))
						require.Len(t, r.recorder.Records(), 1)
						assert.False(t, r.recorder.Records()[0].Time.After(time.Now().Add(time.Second)), "%v %v", ahead, transit)
					}
				}
			}
		}
	})
}

// A second that depends on when a try arrives would be another one at another instance,
// and the event would count twice.
func TestEveryTryGivesTheSameSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		for _, hours := range []time.Duration{-8 * time.Hour, -time.Hour, 0, time.Hour, 9 * time.Hour} {
			for _, off := range []time.Duration{-50 * time.Second, -time.Second, -20 * time.Millisecond, 0, 400 * time.Millisecond, 3 * time.Second, 20 * time.Second, 50 * time.Second} {
				happened := time.Now().Add(hours + off)
				var seconds []time.Time
				for range 3 { // each at an instance that knows nothing of the others
					sent := time.Now().Add(hours + off)
					time.Sleep(150 * time.Millisecond)
					r := newReceiver(t)
					r.do(t, "/v1/batch", fmt.Sprintf(`{"sentAt":%s,"batch":[{"type":"track","messageId":"m","userId":"u","event":"E","timestamp":%s,"context":{"library":{"name":"analytics.js"}}}]}`,
						stamp(sent), stamp(happened)))
					seconds = append(seconds, r.recorder.Records()[0].Time)
					time.Sleep(7 * time.Second)
				}
				assert.Equal(t, seconds[0], seconds[1], "%v %v", hours, off)
				assert.Equal(t, seconds[0], seconds[2], "%v %v", hours, off)
			}
		}
	})
}

func TestTimesOfDifferentClocksAreNotCorrected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		happened := time.Now().UTC().Add(-5 * time.Minute).Truncate(time.Second)
		r := newReceiver(t)
		r.do(t, "/v1/batch", fmt.Sprintf(`{"sentAt":"2569-01-01T00:00:00Z","batch":[{"type":"track","messageId":"m","userId":"u","event":"E","timestamp":%s}]}`, stamp(happened)))
		require.Len(t, r.recorder.Records(), 1)
		assert.Equal(t, happened, r.recorder.Records()[0].Time)
	})
}

func TestASentAtOfTheMessageMayBeThatOfItsEnqueueing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		device := time.Now().UTC().Add(-time.Hour) // or the message waited so long
		message := fmt.Sprintf(`{"type":"track","messageId":"m","userId":"u","event":"E","timestamp":%s,"sentAt":%[1]s}`, stamp(device))
		for path, want := range map[string]time.Time{"/v1/batch": device, "/v1/track": device.Add(time.Hour)} {
			r := newReceiver(t)
			body := message
			if path == "/v1/batch" {
				body = batch(message)
			}
			r.do(t, path, body)
			require.Len(t, r.recorder.Records(), 1)
			assert.Equal(t, want, r.recorder.Records()[0].Time, path)
		}
	})
}

func TestABatchMayBeOfSeveralSDKs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		device := time.Now().UTC().Add(-time.Hour)
		var messages []string
		for i, library := range []string{"analytics-node", "analytics-java", "analytics-node", "analytics-java"} {
			messages = append(messages, fmt.Sprintf(`{"type":"track","messageId":"%d","userId":"u","event":"%d","timestamp":%s,"context":{"library":{"name":"%s"}}}`,
				i, i, stamp(device.Add(-time.Second)), library))
		}
		r := newReceiver(t)
		r.do(t, "/v1/batch", `{"sentAt":`+stamp(device)+`,`+batch(messages...)[1:])
		var corrected []bool
		for _, record := range r.recorder.Records() {
			corrected = append(corrected, record.Time.After(device))
		}
		assert.Equal(t, []bool{true, false, true, false}, corrected)
	})
}

// What happens at its receipt would happen another time at another instance, so it is
// sent last.
func TestWhichMessagesHaveATimeThatStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		toToday()
		time.Sleep(500 * time.Millisecond)
		now := time.Now().UTC()
		sent := now.Add(15*time.Minute + 30*time.Second) // which is corrected by 15 minutes
		message := func(name, times string) string {
			return `{"type":"track","messageId":"` + name + `","userId":"u","event":"` + name + `"` + times + `}`
		}
		r := newReceiver(t)
		r.do(t, "/v1/batch", `{"sentAt":`+stamp(sent)+`,`+batch(
			message("none", ""),
			message("broken", `,"timestamp":"10:22"`),
			message("1970", `,"sentAt":`+stamp(now)+`,"timestamp":"1970-01-01T00:00:00Z"`),
			message("after it was sent", `,"timestamp":`+stamp(sent.Add(time.Hour))),
			message("as it was sent", `,"timestamp":`+stamp(sent)),
			message("before", `,"timestamp":`+stamp(sent.Add(-time.Minute))),
			message("this second", `,"sentAt":`+stamp(now)+`,"timestamp":`+stamp(now.Add(-200*time.Millisecond))),
			message("of the caller", `,"timestamp":`+stamp(now.Add(-200*time.Millisecond))+`,"originalTimestamp":`+stamp(now.Add(-time.Hour))),
			message("a little fast", `,"sentAt":`+stamp(now)+`,"timestamp":`+stamp(now.Add(200*time.Millisecond))),
		)[1:])
		assert.Equal(t, []string{"as it was sent", "before", "this second", "of the caller", "a little fast", "none", "broken", "1970", "after it was sent"}, r.names())
	})
}

func TestMessageWithNoTimeHappensWhenItIsReceived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(27 * 365 * 24 * time.Hour)
		for _, path := range []string{"/v1/batch", "/v1/import", "/v1/track"} {
			r := newReceiver(t)
			body := `{"type":"track","userId":"u","event":"E"}`
			if path != "/v1/track" {
				body = batch(body)
			}
			assert.Equal(t, `{"success":true}`, r.do(t, path, body).text)
			require.Len(t, r.recorder.Records(), 1)
			assert.Equal(t, time.Now().UTC(), r.recorder.Records()[0].Time)
		}
	})
}

func TestMessageWithNoOtherTimeHappensWhenItWasSent(t *testing.T) {
	for name, test := range map[string]struct {
		path, message, rest string
		options             []collect.Option
		sent, at            time.Duration // after the receipt
	}{
		"in a batch":                      {path: "/v1/batch", sent: -3 * time.Second, at: -3 * time.Second},
		"in an import":                    {path: "/v1/import", sent: -3 * time.Second, at: -3 * time.Second},
		"alone":                           {path: "/v1/track", sent: -3 * time.Second, at: -3 * time.Second},
		"beside nulls":                    {path: "/v1/batch", message: `"timestamp":null,"originalTimestamp":null,`, sent: -3 * time.Second, at: -3 * time.Second},
		"an hour ago, if that may be":     {path: "/v1/batch", sent: -time.Hour, at: -time.Hour},
		"an hour ago, by a slow clock":    {path: "/v1/track", sent: -time.Hour},
		"in an hour, by a fast clock":     {path: "/v1/batch", sent: time.Hour},
		"alone, in an hour":               {path: "/v1/track", sent: time.Hour},
		"a little fast":                   {path: "/v1/batch", sent: time.Minute, at: time.Minute},
		"where no clock is looked at":     {path: "/v1/track", sent: time.Hour, at: time.Hour, options: []collect.Option{collect.WithClockStep(0)}},
		"but at its time, if it has one":  {path: "/v1/batch", message: `"timestamp":{event},`, sent: -3 * time.Second, at: -time.Minute},
		"but not at that of the envelope": {path: "/v1/batch", rest: `"sentAt":{sent},`, sent: -3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				toToday()
				now := time.Now().UTC()
				times := strings.NewReplacer("{sent}", stamp(now.Add(test.sent)), "{event}", stamp(now.Add(-time.Minute)))
				sent := `"sentAt":{sent},`
				if test.rest != "" {
					sent = ""
				}
				body := `{"type":"track","messageId":"m","userId":"u",` + test.message + sent + `"event":"E"}`
				if test.path != "/v1/track" {
					body = `{` + test.rest + batch(body)[1:]
				}
				r := newReceiver(t, test.options...)
				require.Equal(t, `{"success":true}`, r.do(t, test.path, times.Replace(body)).text)
				require.Len(t, r.recorder.Records(), 1)
				assert.Equal(t, now.Add(test.at), r.recorder.Records()[0].Time)
			})
		})
	}
}
