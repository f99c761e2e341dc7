package outbox

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

const (
	lineOfEvent = `{"_p":"ada","_t":1700000000,"_n":"Signed Up","plan":"pro","size":5}` + "\n"
	lineOfAlias = `{"_p":"a1","_t":1700000000,"_p2":"ada"}` + "\n"
)

// sealed returns a stored message that is whole, whatever it says.
func sealed(mark string, at uint64, records uint32, lines string) []byte {
	m := binary.BigEndian.AppendUint64([]byte(mark), at)
	m = binary.BigEndian.AppendUint32(m, records)
	m = binary.BigEndian.AppendUint32(m, uint32(len(lines))) //nolint:gosec // a test's
	return seal(append(m, lines...))
}

func TestWhatIsStoredIsReadBack(t *testing.T) {
	at := time.Unix(1_700_000_000, 0).UTC()
	want := []kissmetrics.Record{
		kissmetrics.NewEvent("ada", "a \"quoted\"\n\u2028 name", at, kissmetrics.Text("é", strings.Repeat("x", 8192)), kissmetrics.Number("n", -1.5), kissmetrics.Text("number", "5")),
		kissmetrics.NewProperties("ada", at, kissmetrics.Bool("b", true)),
		kissmetrics.NewProperties("ada", at),
		kissmetrics.NewAlias("a1", "ada", at),
	}
	m, err := encode(want, at.Add(time.Hour))
	require.NoError(t, err)
	for _, mark := range []string{markWaiting, markParked} {
		records, s, err := decode(marked(m, mark))
		require.NoError(t, err)
		assert.Equal(t, want, records)
		assert.Equal(t, at.Add(time.Hour), s.acceptedAt)
		assert.Equal(t, mark == markParked, s.parked)
	}
}

// TestAStoredMessageThatIsNotOneIsAnError: a checksum says that nothing was damaged, but
// not that it was right.
func TestAStoredMessageThatIsNotOneIsAnError(t *testing.T) {
	whole := sealed(markWaiting, 1_700_000_000, 2, lineOfEvent+lineOfAlias)
	_, _, err := decode(whole)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		m    []byte
		want error // or any
	}{
		"nothing":                  {nil, errUnreadable},
		"a mark alone":             {[]byte(markWaiting), errUnreadable},
		"a header alone":           {whole[:headerBytes], errUnreadable},
		"cut":                      {whole[:len(whole)-1], errUnreadable},
		"more behind it":           {append(slices.Clip(whole), 0), errUnreadable},
		"of a later version":       {sealed("KMo2", 0, 1, lineOfEvent), errUnknown},
		"no records":               {sealed(markWaiting, 0, 0, ""), errMiscounted},
		"fewer than it says":       {sealed(markWaiting, 0, 3, lineOfEvent+lineOfAlias), errMiscounted},
		"more than it says":        {sealed(markParked, 0, 1, lineOfEvent+lineOfAlias), errMiscounted},
		"one without an end":       {sealed(markWaiting, 0, 1, lineOfEvent+lineOfAlias[:len(lineOfAlias)-1]), errMiscounted},
		"as many as there can be":  {sealed(markWaiting, 0, math.MaxUint32, lineOfEvent), errMiscounted},
		"lines that are no JSON":   {sealed(markWaiting, 0, 1, "{\n"), nil},
		"JSON that is no record":   {sealed(markWaiting, 0, 4, "null\n[]\n5\n{}\n"), nil},
		"a record that is invalid": {sealed(markWaiting, 0, 1, `{"_p":"null","_t":1,"_n":"e"}`+"\n"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			records, _, err := decode(test.m)
			require.Error(t, err)
			if test.want != nil {
				require.ErrorIs(t, err, test.want)
			}
			assert.Empty(t, records)
		})
	}
}

// FuzzStored: whatever is stored, with its checksum or a wrong one, is valid records or
// an error, takes no more memory than it has bytes, and is found in a damaged file.
func FuzzStored(f *testing.F) {
	for _, lines := range []string{"", lineOfEvent, lineOfAlias, lineOfEvent + lineOfAlias, "null\n", `{"_p":"a","_t":1700000000,"a":{"b":[1,{"c":null}]}}`, "\n\n", "{\n", lineOfEvent[:20]} {
		for _, mark := range []string{markWaiting, markParked, "KMo2", "KM"} {
			f.Add(mark, uint64(1_700_000_000), uint32(strings.Count(lines, "\n")), lines, true) //nolint:gosec // few
		}
	}
	f.Add(markWaiting, uint64(0), uint32(1), lineOfEvent+lineOfAlias[:len(lineOfAlias)-1], true)
	f.Add(markWaiting, uint64(math.MaxUint64), uint32(math.MaxUint32), lineOfEvent, true)
	f.Fuzz(func(t *testing.T, mark string, at uint64, records uint32, lines string, whole bool) {
		m := sealed(mark, at, records, lines)
		if !whole {
			m = m[:len(m)-1]
		}
		read, s, err := decode(m)
		if err != nil {
			require.Empty(t, read)
		} else {
			require.Len(t, read, int(records))
			require.LessOrEqual(t, cap(read), 2+len(lines))
			for i := range read {
				require.NoError(t, read[i].Validate())
				if read[i].Time.IsZero() { // an alias that another wrote
					read[i].Time = time.Unix(1_700_000_000, 0).UTC()
				}
			}
			again, err := encode(read, s.acceptedAt)
			require.NoError(t, err)
			same, _, err := decode(again)
			require.NoError(t, err)
			require.Equal(t, read, same)
		}
		found := 0
		require.NoError(t, scan(append([]byte("KM"), m...), func([]byte) error { found++; return nil }))
		if _, _, ok := parse(m, false); ok {
			require.Positive(t, found)
		}
	})
}
