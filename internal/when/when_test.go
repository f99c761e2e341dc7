package when_test

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/when"
)

func TestTheUsualFormTakesNoMemory(t *testing.T) {
	for _, text := range []string{"2026-03-02T09:00:00Z", "2026-03-02T09:00:00.358Z", "2026-03-02T10:00:00.358+01:00"} {
		data := []byte(text)
		assert.Zero(t, testing.AllocsPerRun(10, func() { when.Text(string(data)) }), text)
	}
}

// Every text here is the same second of a Monday.
func TestTextsOfOneInstant(t *testing.T) {
	want := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	for rule, texts := range map[string][]string{
		"RFC 3339":             {"2026-03-02T09:00:00Z", "2026-03-02T09:00:00.358Z", "2026-03-02T10:00:00+01:00", "2026-03-02T09:00:00-00:00"},
		"fractions":            {"2026-03-02T09:00:00,358Z", "2026-03-02T09:00:00.1234567Z", "2026-03-02T09:00:00.123456789012Z", "2026-03-02T09:00.0Z", "2026-03-02T09:00:00:123Z"},
		"either case":          {"2026-03-02t09:00:00z", "2026-03-02 09:00:00 utc", "mon, 02 mar 2026 09:00:00 gmt"},
		"spaces":               {" 2026-03-02T09:00:00Z ", "2026-03-02 09:00:00Z", "2026-03-02  09:00:00 Z", "\t2026-03-02T09:00:00Z\n", "2026-03-02\u00a009:00:00"},
		"no zone is UTC":       {"2026-03-02T09:00:00", "2026-03-02 09:00:00.358", "2026-03-02 09:00"},
		"reduced precision":    {"2026-03-02T09:00Z", "2026-03-02T09Z", "2026-03-02T11+02"},
		"basic format":         {"20260302T090000Z", "20260302T090000.358Z", "20260302T0900Z", "20260302T09Z", "20260302T100000+0100", "20260302 090000"},
		"offsets":              {"2026-03-02T11:00:00+02", "2026-03-02T11:00:00+0200", "2026-03-02T04:00:00-05:00", "2026-03-02T14:30:00+0530", "2026-03-02 14:30:00 +05:30", "2026-03-02T11:00:00+2", "2026-03-02T10:19:32+01:19:32"},
		"another minus":        {"2026-03-02T04:00:00−05:00"},
		"names of zones":       {"2026-03-02 09:00:00 UTC", "2026-03-02 09:00:00 GMT", "2026-03-02 01:00:00 PST", "2026-03-02 02:00:00 MST", "2026-03-02 04:00:00 EST", "2026-03-02 05:00:00 EDT", "2026-03-02 11:00:00 GMT+2", "2026-03-02 11:00:00 UTC+02:00"},
		"regions":              {"2026-03-02T09:00:00Z[UTC]", "2026-03-02T10:00:00+01:00[Europe/Paris]", "2026-03-02T09:00:00[UTC]", "2026-03-02T09:00:00[UTC][u-ca=gregory]", "2026-03-02T10:00:00+01:00[Europe/Paris][u-ca=gregory]", "2026-03-02T09:00:00Z[Etc/UTC]"},
		"week and ordinal":     {"2026-W10-1T09:00:00Z", "2026W101T090000Z", "2026-061T09:00:00Z", "2026061T090000Z"},
		"expanded years":       {"+002026-03-02T09:00:00Z"},
		"slashes and dots":     {"2026/03/02 09:00:00", "2026/3/2 9:00:00", "2026.03.02 09:00:00", "2026/03/02T09:00:00Z"},
		"RFC 1123":             {"Mon, 02 Mar 2026 09:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 +0100", "Mon, 2 Mar 2026 09:00:00 UTC", "02 Mar 2026 09:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 +0100 (CET)"},
		"RFC 822 and 850":      {"Monday, 02-Mar-26 09:00:00 GMT", "Mon, 02 Mar 26 09:00:00 GMT"},
		"ANSI C and Unix":      {"Mon Mar  2 09:00:00 2026", "Mon Mar  2 09:00:00 UTC 2026", "Mon Mar  2 04:00:00 EST 2026", "Mon Mar 02 02:00:00 -0700 2026"},
		"JavaScript":           {"Mon Mar 02 2026 09:00:00 GMT+0000 (Coordinated Universal Time)", "Mon Mar 02 2026 10:00:00 GMT+0100 (Central European Standard Time)", "Mon, 02 Mar 2026 09:00:00 GMT"},
		"Go":                   {"2026-03-02 09:00:00 +0000 UTC", "2026-03-02 10:00:00.5 +0100 CET m=+0.000012", "2026-03-02 14:30:00 +0530 +0530"},
		"Java":                 {"Mar 2, 2026 9:00:00 AM", "Mar 2, 2026, 9:00:00\u202fAM", "Mon Mar 02 09:00:00 GMT 2026"},
		"log files":            {"02/Mar/2026:09:00:00 +0000", "2-Mar-2026 09:00:00"},
		".NET":                 {"/Date(1772442000000)/", "/Date(1772442000000+0200)/"},
		"Python":               {"2026-03-02T09:00:00+00:00Z", "2026-03-02 09:00:00.358123+00:00"},
		"words":                {"March 2, 2026 9:00 AM", "2 March 2026 09:00", "Monday, March 2, 2026 at 9:00:00 AM UTC", "March 2nd, 2026 9:00", "2026 Mar 2 09:00", "9:00 AM, March 2, 2026", "2-March-2026 09:00", "9:00 Mon Mar 2, 2026", "March 2, 2026 9:00AM"},
		"12 hours":             {"2026-03-02 9:00:00 AM", "2026-03-02T9:00:00 AM", "2026-03-02T9:00:00 a.m.Z", "2026-03-02T9:00:00 AM.123Z", "2026-03-02, 9:00:00 a.m.", "2026-03-02T9:00:00\u202fAMZ"},
		"12 hours elsewhere":   {"2026-03-02 上午9:00:00", "2026-03-02T오전 9:00:00Z", "2026-03-02 9:00:00 ص", "2026-03-02 9:00:00 ق.ظ.", "2026-03-02 9:00:00 π.μ.", "2026-03-02 9:00:00 öö", "2026-03-02 9:00:00 SA", "2026-03-02 9:00:00 पूर्वाह्न", "2026-03-02 9:00:00 ก่อนเที่ยง", "2026-03-02 9:00:00 de.", "2026-03-02T9:00:00 fm"},
		"digits of any script": {"٢٠٢٦-٠٣-٠٢T٠٩:٠٠:٠٠Z", "۲۰۲۶-۰۳-۰۲T۰۹:۰۰:۰۰Z", "२०२६-०३-०२T०९:००:००Z", "２０２６-０３-０２T０９：００：００Z", "\u200f٢٠٢٦-٠٣-٠٢ ٩:٠٠:٠٠ ص"},
		"seconds since 1970":   {"1772442000", "1772442000.358", "1.772442e9", "١٧٧٢٤٤٢٠٠٠"},
		"parts of them":        {"1772442000358", "1772442000358123", "1772442000358123456", "1772442000358.5"},
	} {
		for _, text := range texts {
			got, ok := when.Text(text)
			if assert.True(t, ok, "%s: %q", rule, text) {
				assert.Equal(t, want, got.Truncate(time.Second), "%s: %q", rule, text)
			}
		}
	}
}

func TestTexts(t *testing.T) {
	for text, want := range map[string]string{
		"2026-03-01T24:00:00Z":                  "2026-03-02T00:00:00Z",
		"2026-03-01 24:00":                      "2026-03-02T00:00:00Z",
		"2026-12-31T23:59:60Z":                  "2027-01-01T00:00:00Z",
		"2026-03-02T09:59:60.5+01:00":           "2026-03-02T09:00:00.5Z",
		"2026":                                  "2026-01-01T00:00:00Z",
		"2026-03":                               "2026-03-01T00:00:00Z",
		"2026-03-02":                            "2026-03-02T00:00:00Z",
		"20260302":                              "2026-03-02T00:00:00Z",
		"2026-03-02Z":                           "2026-03-02T00:00:00Z",
		"2026-03-02+02:00":                      "2026-03-01T22:00:00Z",
		"2026-W10":                              "2026-03-02T00:00:00Z",
		"2026-W53-5":                            "2027-01-01T00:00:00Z",
		"2025-W01-1":                            "2024-12-30T00:00:00Z",
		"2024-366":                              "2024-12-31T00:00:00Z",
		"+002017-02-06T23:49:22Z":               "2017-02-06T23:49:22Z",
		"-000001-01-01T00:00:00Z":               "-0001-01-01T00:00:00Z",
		"2024/07/25 14:20:04":                   "2024-07-25T14:20:04Z",
		"2011-08-03 05:23:29 PST":               "2011-08-03T13:23:29Z",
		"2025-06-01 04:19:45+0530":              "2025-05-31T22:49:45Z",
		"March 10, 2024 10:22 PM":               "2024-03-10T22:22:00Z",
		"March 10, 2024 12:22 AM":               "2024-03-10T00:22:00Z",
		"March 10, 2024 12:22 PM":               "2024-03-10T12:22:00Z",
		"2024-03-10 下午10:22":                    "2024-03-10T22:22:00Z",
		"2024-03-10 午後0:22":                     "2024-03-10T12:22:00Z",
		"٢٠٢٤-٠٣-١٠ ١٠:٢٢:٠٠ م":                 "2024-03-10T22:22:00Z",
		"2024-03-10 10:22:00 μ.μ.":              "2024-03-10T22:22:00Z",
		"2024-03-10 10:22:00 CH":                "2024-03-10T22:22:00Z",
		"2024-03-10T22:22:00 PM":                "2024-03-10T22:22:00Z",
		"2024-03-10T00:22:00 AM":                "2024-03-10T00:22:00Z",
		"March 10, 2024":                        "2024-03-10T00:00:00Z",
		"10 March 2024":                         "2024-03-10T00:00:00Z",
		"Sept 1, 2024":                          "2024-09-01T00:00:00Z",
		"9:00 Sat Mar 7, 2026":                  "2026-03-07T09:00:00Z",
		"Sunday, 06-Nov-94 08:49:37 GMT":        "1994-11-06T08:49:37Z",
		"2026-03-02T09:30.25Z":                  "2026-03-02T09:30:15Z",
		"2026-03-02T09,5Z":                      "2026-03-02T09:30:00Z",
		"2569-03-02T09:00:00Z":                  "2569-03-02T09:00:00Z", // a Buddhist year is a year like others here
		"0008-03-02T09:00:00Z":                  "0008-03-02T09:00:00Z",
		"0001-01-01T00:00:00Z":                  "0001-01-01T00:00:00Z",
		"2026-03-02T09:00:00.123456789123Z":     "2026-03-02T09:00:00.123456789Z",
		"1772442000123456789":                   "2026-03-02T09:00:00.123456789Z",
		"1772442000.25":                         "2026-03-02T09:00:00.25Z",
		"2026-03-02T09:00:00+14:00":             "2026-03-01T19:00:00Z",
		"Mon Mar 02 2026 09:00:00 GMT-0330 ()":  "2026-03-02T12:30:00Z",
		"2026-03-02T09:00:00[America/New_York]": "",
	} {
		got, ok := when.Text(text)
		if want == "" {
			assert.False(t, ok, text)
			continue
		}
		if assert.True(t, ok, text) {
			assert.Equal(t, want, got.Format(time.RFC3339Nano), text)
			assert.Equal(t, time.UTC, got.Location(), text)
		}
	}
}

func TestTextsThatMeanNoInstant(t *testing.T) {
	for rule, texts := range map[string][]string{
		"nothing":                      {"", " ", "soon", "2026.03", "garbage", "null", "T", "Z", "-", "+", "[UTC]", "()", "(", "]"},
		"no date":                      {"10:22:00 PM", "09:00", "09:00:00Z", "T09:00:00Z"},
		"no year":                      {"March 10 09:00", "Mon Mar  2 09:00:00", "--03-02"},
		"no month":                     {"Mon, 02 2026", "2026 09:00"},
		"month or day first":           {"03/02/2026", "24/01/2020", "24.01.2020", "02-03-2026", "3/2/26"},
		"a year of two digits":         {"26-03-02", "02 Mar 26", "02-Mar-26 09:00", "Tuesday, 02-Mar-26 09:00:00 GMT"},
		"impossible":                   {"2026-02-30", "2026-13-01", "2026-00-01", "2026-03-00", "2025-366", "2026-000", "2025-W53", "2026-W00", "2026-W10-8", "2026-W10-0", "February 30, 2026"},
		"no time of day":               {"2026-03-02T25:00:00Z", "2026-03-02T24:00:01Z", "2026-03-02T09:60:00Z", "2026-03-02T09:00:61Z", "2026-03-02T", "2026-03-02T090Z", "2026-03-02T09:0Z", "2026-03-02 9:00:00 AM PM", "2026-03-02 13:00 AM"},
		"no zone":                      {"2026-03-02T09:00:00+24:00", "2026-03-02T09:00:00+02:60", "2026-03-02T09:00:00+", "2026-03-02T09:00:00+02:", "2026-03-02T09:00:00+020"},
		"a zone with several meanings": {"2026-03-02 09:00:00 IST", "2026-03-02 09:00:00 CET", "2026-03-02 09:00:00 BST", "Mon Mar  2 09:00:00 CET 2026", "2026-03-02T09:00:00[Europe/Paris]"},
		"two zones that differ":        {"2026-03-02 09:00:00 +0100 UTC", "2026-03-02 09:00:00 +0100 +0200", "2026-03-02T09:00:00+01:00Z"},
		"something behind":             {"2026-03-02T09:00:00Zx", "2026-03-02T09:00:00Z 2026", "2026-03-02x", "2026-03-02T09:00:00..5Z", "2026-03-02T09:00:00.Z", "2026-03-02 09:00 10:00"},
		"twice":                        {"March March 2026 2", "March 2 3 2026", "March 2 2026 2027", "Mon Mon Mar 2 2026"},
		"numbers that are no time":     {"-1772442000", "1772442000.", "1e", "1e5x", "99999999999999999999", "123456", "0x6a", "/Date()/", "/Date(x)/", "/Date(1772442000000", "/Date(1772442000000x)/"},
		"too long":                     {"2026-03-02T09:00:00Z" + strings.Repeat(" ", 200)},
	} {
		for _, text := range texts {
			got, ok := when.Text(text)
			assert.False(t, ok, "%s: %q is not %s", rule, text, got)
		}
	}
}

func TestNumbers(t *testing.T) {
	for number, want := range map[string]string{
		"1":                   "1970-01-01T00:00:01Z",
		"2026":                "1970-01-01T00:33:46Z",
		"1772442000":          "2026-03-02T09:00:00Z",
		"1772442000.5":        "2026-03-02T09:00:00.5Z",
		"1772442000.0":        "2026-03-02T09:00:00Z",
		"1.772442e9":          "2026-03-02T09:00:00Z",
		"1.772442E+12":        "2026-03-02T09:00:00Z",
		"99999999999":         "5138-11-16T09:46:39Z",
		"100000000000":        "1973-03-03T09:46:40Z",
		"1772442000358":       "2026-03-02T09:00:00.358Z",
		"1772442000358.25":    "2026-03-02T09:00:00.35825Z",
		"20260302090000":      "2612-01-10T05:41:30Z",
		"100000000000000":     "1973-03-03T09:46:40Z",
		"1772442000358123":    "2026-03-02T09:00:00.358123Z",
		"1772442000358123456": "2026-03-02T09:00:00.358123456Z",
		"9223372036854775807": "2262-04-11T23:47:16.854775807Z",
		"0":                   "",
		"-1":                  "",
		"0.5":                 "",
		"9223372036854775808": "",
		"1e300":               "",
		"1e99999":             "",
		"1e999999999":         "",
		"":                    "",
		"x":                   "",
		"NaN":                 "",
		"Inf":                 "",
		"0x10":                "",
		"1_000":               "",
	} {
		got, ok := when.Number(number)
		if want == "" {
			assert.False(t, ok, number)
		} else if assert.True(t, ok, number) {
			assert.Equal(t, want, got.Format(time.RFC3339Nano), number)
		}
	}
}

// What packages of Go, and so of other languages, write is read back.
func FuzzText(f *testing.F) {
	for _, text := range []string{"2026-03-02T09:00:00Z", "Mon, 02 Mar 2026 09:00:00 GMT", "٢٠٢٦-٠٣-٠٢", "2026-W10-1", "20260302T0900+01", "March 2, 2026 9:00 AM (x)[y]", "1772442000.5e3"} {
		f.Add(text, int64(1772442000), int64(358), 3600)
	}
	f.Fuzz(func(t *testing.T, text string, seconds, nanos int64, offset int) {
		if got, ok := when.Text(text); ok {
			require.Equal(t, time.UTC, got.Location())
			again, ok := when.Text(got.Format(time.RFC3339Nano))
			require.True(t, ok || got.Year() < 0 || got.Year() > 9999)
			require.True(t, !ok || again.Equal(got))
		}
		const most = 253402300799 // the end of the year 9999
		whole := time.Unix(abs(seconds)%(most-86400)+86400, 0).In(time.FixedZone("", int(abs(int64(offset))%(24*60))*60))
		if whole.Year() > 9999 || whole.Year() < 1970 {
			return
		}
		for _, layout := range []string{
			time.RFC3339, time.RFC1123Z, time.RubyDate, "2006-01-02 15:04:05 -0700", "2006/01/02 3:04:05 PM Z07:00", "20060102T150405Z0700",
			"January 2, 2006 3:04:05 PM -0700", "Mon Jan 02 2006 15:04:05 GMT-0700 (Somewhere)", "2006-01-02T15:04:05Z07:00[Some/Where]", "02/Jan/2006:15:04:05 -0700",
		} {
			written := whole.Format(layout)
			got, ok := when.Text(written)
			require.True(t, ok, written)
			require.Equal(t, whole.Unix(), got.Unix(), written)
		}
		exact := whole.Add(time.Duration(abs(nanos) % 1e9))
		got, ok := when.Text(exact.Format(time.RFC3339Nano))
		require.True(t, ok)
		require.True(t, exact.Equal(got), exact)
		_, _ = when.Number(text)
	})
}

func abs(n int64) int64 { return max(n, -n, 0) }

func TestDigitsOfEveryScript(t *testing.T) {
	var zeros []rune
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if unicode.Is(unicode.Nd, r) {
			zeros = append(zeros, r)
			r += 9 // Unicode keeps the ten together
		}
	}
	require.Greater(t, len(zeros), 60)
	for _, zero := range zeros {
		text := strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return zero + r - '0'
			}
			return r
		}, "2026-03-02T17:45:09.358Z")
		got, ok := when.Text(text)
		require.True(t, ok, text)
		require.Equal(t, "2026-03-02T17:45:09.358Z", got.Format(time.RFC3339Nano), text)
	}
}
