package kissmetrics_test

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestReadImport(t *testing.T) {
	const good = `{"_p":"u","_n":"e","_t":1579847342}`
	tests := map[string]struct {
		file  string
		read  int
		lines map[int]string // the errors
	}{
		"nothing":             {"", 0, nil},
		"no end of line":      {good, 1, nil},
		"CR LF":               {good + "\r\n" + good + "\r\n", 2, nil},
		"blank lines":         {"\n  \n" + good + "\n\r\n\t\n" + good + "\n\n", 2, nil},
		"a byte order mark":   {"\ufeff" + good + "\n" + good + "\n", 2, nil},
		"one in the middle":   {good + "\n\ufeff" + good + "\n", 1, map[int]string{2: "message"}},
		"others go on":        {good + "\n{\n" + good + "\n\n{\"_p\":\"u\"}\n" + good, 3, map[int]string{2: "message", 5: "timestamp"}},
		"a line that is cut":  {good + "\n" + good[:20], 1, map[int]string{2: "message"}},
		"a list":              {`[` + good + "]\n" + good, 1, map[int]string{1: "message"}},
		"two on a line":       {good + good + "\n" + good, 1, map[int]string{1: "message"}},
		"several wrong":       {`{"_n":"e"}` + "\n" + good, 1, map[int]string{1: "identity"}},
		"an event of 2008":    {`{"_p":"u","_n":"e","_t":1220000000}` + "\n" + good, 1, map[int]string{1: "timestamp"}},
		"event and alias":     {`{"_p":"u","_n":"e","_p2":"v","_t":1579847342}`, 0, map[int]string{1: "type"}},
		"export: an alias":    {`{"_p":"u","_p2":"v","_t":1579847342}`, 1, nil},
		"export: properties":  {`{"_p":"u","_t":1579847342.5,"plan":"pro","n":1,"_c":"x"}`, 1, nil},
		"a long line":         {good + "\n" + `{"a":"` + strings.Repeat("x", 16<<20) + "\"}\n" + good, 2, map[int]string{2: "message"}},
		"a long last line":    {strings.Repeat("x", 16<<20+3), 0, map[int]string{1: "message"}},
		"a line of 16 MiB":    {strings.Repeat(" ", 16<<20-len(good)) + good + "\r\n", 1, nil},
		"longer than a read":  {`{"_p":"u","_n":"e","_t":1579847342,"a":"` + strings.Repeat("x", 8000) + `"` + strings.Repeat(" ", 200_000) + "}\n" + good, 2, nil},
		"100,000 levels":      {strings.Repeat(`{"a":`, 100_000) + "\n" + good, 1, map[int]string{1: "message"}},
		"not UTF-8":           {"{\"_p\":\"u\xff\",\"_n\":\"e\",\"_t\":1579847342}", 1, nil},
		"an escape of octals": {`{"_p":"u","_n":"caf\303\251","_t":1579847342}`, 1, nil},
		"an octal of ASCII":   {`{"_p":"u","_n":"\101","_t":1579847342}`, 1, nil},
		"two identities":      {`{"_p":"u","_p":"v","_n":"e","_t":1579847342}`, 0, map[int]string{1: "identity"}},
		"two equal ones":      {`{"_p":"u","_n":"e","_n":"e","_p":"u","_t":1579847342}`, 1, nil},
		"two names":           {`{"_p":"u","_n":"e","_n":"","_t":1579847342}`, 0, map[int]string{1: "event"}},
		"two times":           {`{"_p":"u","_n":"e","_t":1579847343,"_t":1579847342}`, 0, map[int]string{1: "timestamp"}},
		"no texts":            {`{"_p":true,"_n":{},"_t":[]}`, 0, map[int]string{1: "identity"}},
		"a number of no end":  {`{"_p":"u","_n":"e","_t":1579847342,"a":1e999999999}`, 0, map[int]string{1: "property"}},
		"an alias with more":  {`{"_p":"u","_p2":"v","_t":1579847342,"plan":"pro"}`, 0, map[int]string{1: "property"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			read, errs := imported(kissmetrics.ReadImport(strings.NewReader(test.file)))
			assert.Len(t, read, test.read)
			got := map[int]string{}
			for _, err := range errs {
				line, ok := errors.AsType[*kissmetrics.LineError](err)
				require.True(t, ok, "%v", err)
				require.ErrorContains(t, err, "kissmetrics: line "+strconv.Itoa(line.Line)+": ")
				require.NotContains(t, err.Error(), "\n")
				requireOnlyValidationErrors(t, line.Err)
				wrong, _ := errors.AsType[*kissmetrics.ValidationError](err)
				got[line.Line] = wrong.Field
			}
			if test.lines == nil {
				test.lines = map[int]string{}
			}
			assert.Equal(t, test.lines, got)
		})
	}
}

func TestReadImportTellsWhereTheReaderFailed(t *testing.T) {
	boom := errors.New("boom")
	r := io.MultiReader(strings.NewReader(`{"_p":"u","_n":"e","_t":1579847342}`+"\n"+`{"_p":"u"`), &failingReader{boom})
	read, errs := imported(kissmetrics.ReadImport(r))
	assert.Len(t, read, 1)
	require.Len(t, errs, 1)
	line, ok := errors.AsType[*kissmetrics.LineError](errs[0])
	require.True(t, ok)
	assert.Equal(t, 2, line.Line)
	require.ErrorIs(t, line, boom)
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestReadImportGoesOnAfterABreak(t *testing.T) {
	records := kissmetrics.ReadImport(strings.NewReader(strings.Repeat(`{"_p":"u","_n":"e","_t":1579847342}`+"\n", 3)))
	for _, err := range records {
		require.NoError(t, err)
		break
	}
	read, _ := imported(records)
	assert.Len(t, read, 2)
	read, errs := imported(records)
	assert.Empty(t, read)
	assert.Empty(t, errs, "all was read")
}

func TestReadImportKeepsNothingOfItsBuffer(t *testing.T) {
	var file strings.Builder
	for i := range 100 {
		file.WriteString(`{"_p":"person-` + strconv.Itoa(i) + `","_n":"e","_t":1579847342,"caf\303\251":"` + strconv.Itoa(i) + `x"}` + "\n")
	}
	read, errs := imported(kissmetrics.ReadImport(strings.NewReader(file.String())))
	require.Empty(t, errs)
	require.Len(t, read, 100)
	for i, r := range read {
		require.Equal(t, "person-"+strconv.Itoa(i), r.Person)
		require.Equal(t, []kissmetrics.Property{{Name: "café", Value: strconv.Itoa(i) + "x"}}, r.Properties)
	}
}

// FuzzReadImport: it never panics; an error is a LineError of validation errors,
// with lines that grow; what was read is valid, and survives being written and
// read again.
func FuzzReadImport(f *testing.F) {
	f.Add([]byte("\ufeff{\"_p\":\"u\",\"_n\":\"e\",\"_t\":1579847342}\r\n\n{}\n[1]\n"))
	f.Add([]byte(`{"_p":"u","_p2":"v","_t":1579847342}` + "\n" + `{"_p":"u","_t":1,"a":{"b":[1,{"c":null}]}}`))
	f.Add([]byte(`{"_p":"u","_t":1579847342,"caf\303\251\\":"\\\303"}`))
	f.Add([]byte(`{"_p":"u\231","_p2":"C:\Users\bob","_t":1579847342,"_c":"x","_c":{"y":1}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var read []kissmetrics.Record
		last := 0
		for r, err := range kissmetrics.ReadImport(bytes.NewReader(file)) {
			if err == nil {
				require.NoError(t, r.Validate())
				read = append(read, r.Record)
				continue
			}
			line, ok := errors.AsType[*kissmetrics.LineError](err)
			require.True(t, ok)
			require.Greater(t, line.Line, last)
			last = line.Line
			requireOnlyValidationErrors(t, line.Err)
		}
		require.LessOrEqual(t, last+len(read), 2*bytes.Count(file, []byte("\n"))+2)
		var again bytes.Buffer
		w := kissmetrics.NewImportWriter(&again)
		var want []kissmetrics.Record
		for _, r := range read {
			if !r.Time.IsZero() && (r.Kind != kissmetrics.KindProperties || len(r.Properties) > 0) {
				want = append(want, r)
			}
		}
		require.NoError(t, w.Send(t.Context(), want))
		got, errs := imported(kissmetrics.ReadImport(&again))
		require.Empty(t, errs)
		require.Equal(t, want, got)
	})
}
