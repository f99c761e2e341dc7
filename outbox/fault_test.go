package outbox_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// A damage is a set of files, the messages of which are known.
type damage struct {
	files    map[string][]byte // by what their names end with
	messages map[string]string // name of the record → its line
	stored   map[string][]byte // name of the record → the message as it is stored
}

// prepare returns the files of an outbox: closed, or as they are while it is open,
// when all is in the log.
func prepare(t *testing.T, messages int, closed bool, options ...outbox.Option) damage {
	path := filepath.Join(t.TempDir(), "outbox.db")
	box, err := outbox.Open(t.Context(), path, append([]outbox.Option{outbox.WithRoom(0)}, options...)...)
	require.NoError(t, err)
	defer closeBox(t, box)
	d := damage{make(map[string][]byte), make(map[string]string), make(map[string][]byte)}
	for i := range messages {
		r := record(fmt.Sprintf("event %d", i))
		if i == messages/2 { // longer than a page
			r.Properties = append(r.Properties, kissmetrics.Property{Name: "Z", Value: strings.Repeat("z", 8000)})
		}
		line, err := r.MarshalJSON()
		require.NoError(t, err)
		d.messages[r.Name] = string(line)
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{r}))
	}
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	for name, line := range d.messages {
		var message []byte
		require.NoError(t, db.QueryRow("SELECT message FROM kissmetrics_waiting WHERE instr(message, ?)", line+"\n").Scan(&message))
		d.stored[name] = message
	}
	require.NoError(t, db.Close())
	if closed {
		closeBox(t, box)
	}
	for _, ending := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + ending)
		if !errors.Is(err, os.ErrNotExist) {
			require.NoError(t, err)
			d.files[ending] = data
		}
	}
	return d
}

// check opens an outbox of damaged files and requires that what is readable in
// the file itself is delivered, and nothing else is.
func (d damage) check(t *testing.T, files map[string][]byte, what string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "outbox.db")
	for ending, data := range files {
		require.NoError(t, os.WriteFile(path+ending, data, 0o600))
	}
	box, err := outbox.Open(t.Context(), path, quick)
	require.NoError(t, err, what)
	defer closeBox(t, box)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	delivered := make(map[string]bool)
	for _, r := range recorder.Records() {
		line, err := r.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, d.messages[r.Name], string(line), "%s: what is delivered is what was stored", what)
		delivered[r.Name] = true
	}
	for name, message := range d.stored {
		// What a damaged log hides, SQLite takes for what was never committed.
		if bytes.Contains(files[""], message) && !delivered[name] {
			require.Fail(t, "not delivered", "%s: %q is readable", what, name)
		}
	}
	// It works as if nothing had been.
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("new")}), what)
	deliver(t, box, &recorder)
	records := recorder.Records()
	require.Equal(t, "new", records[len(records)-1].Name, what)
}

func TestAFileThatIsCutKeepsWhatIsReadable(t *testing.T) {
	t.Parallel()
	step := 64 * max(1, 200/rounds())
	d := prepare(t, 100, true)
	for cut := 0; cut < len(d.files[""]); cut += step {
		d.check(t, map[string][]byte{"": d.files[""][:cut]}, fmt.Sprintf("cut at %d", cut))
	}
}

// SQLite takes what is missing of the last page for zeros, but not where it reads a
// long message from the file itself.
func TestAFileWhoseLastPageIsCutKeepsWhatIsReadable(t *testing.T) {
	t.Parallel()
	d := prepare(t, 100, true, outbox.WithRoom(1<<20))
	for _, cut := range []int{1, 100, 4000} {
		d.check(t, map[string][]byte{"": d.files[""][:len(d.files[""])-cut]}, fmt.Sprintf("%d bytes are cut off", cut))
	}
}

func TestALogThatIsCutKeepsWhatIsReadable(t *testing.T) {
	t.Parallel()
	d := prepare(t, 4, false)
	step := 64 * max(1, 1000/rounds())
	for cut := 0; cut < len(d.files["-wal"]); cut += step {
		// What was committed last is cut off; what is left of it may be readable, but
		// was perhaps never committed.
		files := map[string][]byte{"": d.files[""], "-wal": d.files["-wal"][:cut]}
		path := filepath.Join(t.TempDir(), "outbox.db")
		for ending, data := range files {
			require.NoError(t, os.WriteFile(path+ending, data, 0o600))
		}
		box, err := outbox.Open(t.Context(), path, quick)
		require.NoError(t, err)
		var recorder kissmetricstest.Recorder
		deliver(t, box, &recorder)
		for _, r := range recorder.Records() {
			line, err := r.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, d.messages[r.Name], string(line))
		}
		closeBox(t, box)
	}
}

// What SQLite, or the outbox, takes for something else than damage: a later
// version of the stored form, a file that is for reading only, and other tables.
func TestDamageThatLooksLikeSomethingElseIsFound(t *testing.T) {
	t.Parallel()
	closed := prepare(t, 100, true)
	for _, flip := range []byte{1, 4, 0xff} {
		files := map[string][]byte{"": bytes.Clone(closed.files[""])}
		files[""][18] ^= flip
		closed.check(t, files, "the version for writing")
	}
	for _, column := range []string{"id ", "message ", "parked_at ", "reason ", "messages ", "delivered ", "parked "} {
		for at := range bytes.Count(closed.files[""][:4096], []byte(column)) {
			files := map[string][]byte{"": bytes.Clone(closed.files[""])}
			rest := files[""][:4096]
			for range at + 1 {
				rest = rest[bytes.Index(rest, []byte(column))+len(column):]
			}
			files[""][4096-len(rest)-1] = 'x'
			closed.check(t, files, "the name of a column: "+column)
		}
	}
	open := prepare(t, 100, false)
	for _, name := range []string{"event 0", "event 8", "event 99"} {
		log := bytes.Clone(open.files["-wal"])
		log[bytes.LastIndex(log, open.stored[name])+3] ^= 2 // older frames have it intact
		open.check(t, map[string][]byte{"": open.files[""], "-wal": log}, "the version of "+name)
	}
}

func TestFlippedBytesAreNeverSent(t *testing.T) {
	t.Parallel()
	dice := trial.NewDice(t)
	for _, closed := range []bool{true, false} {
		d := prepare(t, 100, closed)
		ending := ""
		if !closed {
			ending = "-wal"
		}
		for range rounds() {
			files := make(map[string][]byte)
			for name, data := range d.files {
				files[name] = bytes.Clone(data)
			}
			at := dice.Below(len(files[ending]))
			files[ending][at] ^= byte(1 + dice.Below(255))
			d.check(t, files, fmt.Sprintf("byte %d of the file%s", at, ending))
		}
	}
}

// What cannot be read although it is what was stored is parked as it is, and what is
// behind it goes on.
func TestWhatIsStoredAndCannotBeReadIsParkedAsItIs(t *testing.T) {
	t.Parallel()
	line, err := record("b").MarshalJSON()
	require.NoError(t, err)
	good := string(line) + "\n"
	for name, message := range map[string][]byte{
		"a line that is not JSON":     outbox.Sealed(1, "{\n"),
		"a line of another kind":      outbox.Sealed(1, "[]\n"),
		"one good line and a bad one": outbox.Sealed(2, good+"{}\n"),
		"no line":                     outbox.Sealed(1, ""),
		"no record":                   outbox.Sealed(0, ""),
		"fewer lines than records":    outbox.Sealed(3, good+good),
		"more lines than records":     outbox.Sealed(1, good+good),
		"no end of a line":            outbox.Sealed(1, string(line)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log trial.Log
			db, box := shared(t, outbox.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			for _, name := range []string{"a", "b", "c"} {
				require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(name)}))
			}
			_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = ? WHERE id = 2", message)
			require.NoError(t, err)
			var recorder kissmetricstest.Recorder
			deliver(t, box, &recorder)
			delivered := names(recorder.Records())
			slices.Sort(delivered)
			assert.Equal(t, []string{"a", "c"}, delivered)
			var kept []byte
			var reason string
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT message, reason FROM kissmetrics_parked").Scan(&kept, &reason))
			assert.Equal(t, message, kept)
			assert.Contains(t, reason, "unreadable: ")
			assert.Contains(t, log.String(), "a stored message cannot be read, and is parked")
		})
	}
}

// What is damaged can be deleted, and is never made to wait again.
func TestWhatIsParkedAndDamagedIsNotRequeued(t *testing.T) {
	t.Parallel()
	db, box := shared(t)
	for _, name := range []string{"a", "b"} {
		require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record(name)}))
	}
	_, err := db.ExecContext(t.Context(), "UPDATE kissmetrics_waiting SET message = x'4b4d6f31' || message WHERE id = 1")
	require.NoError(t, err)
	deliver(t, box, new(kissmetricstest.Recorder))
	var ids []int64
	for parked, err := range box.Parked(t.Context()) {
		require.NoError(t, err)
		assert.Empty(t, parked.Records)
		ids = append(ids, parked.ID)
	}
	require.Len(t, ids, 1)

	err = box.Requeue(t.Context(), ids...)
	assert.True(t, isKind(err, outbox.StorageDamaged), "%v", err)
	var waiting, left int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*), (SELECT count(*) FROM kissmetrics_parked) FROM kissmetrics_waiting").Scan(&waiting, &left))
	assert.Zero(t, waiting)
	assert.Equal(t, 1, left)
	require.NoError(t, box.Delete(t.Context(), ids...))
}
