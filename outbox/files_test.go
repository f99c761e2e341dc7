package outbox_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/kissmetricstest"
	"github.com/kissmetrics-go/kissmetrics/outbox"
)

// What an administrator has allowed stays allowed, also to the files beside.
func TestPermissionsThatAreThereAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Chmod(path, 0o660))
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	for _, ending := range []string{"", "-wal", "-shm", "-lock"} {
		info, err := os.Stat(path + ending)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o660), info.Mode().Perm(), ending)
	}
}

// snapshot returns the checksums of the files of a directory, by their names.
func snapshot(t *testing.T, dir string) map[string][sha256.Size]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	files := make(map[string][sha256.Size]byte)
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		files[e.Name()] = sha256.Sum256(data)
	}
	return files
}

func TestAFileOfSomebodyElsesIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 5<<20)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, make := range map[string]func(t *testing.T, path string){
		"JSON": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(`{"port": 8080}`), 0o644))
		},
		"two bytes":      func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, []byte("{}"), 0o600)) },
		"something long": func(t *testing.T, path string) { require.NoError(t, os.WriteFile(path, noise, 0o600)) },
		"something behind zeros": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, append(bytes.Repeat([]byte{0}, 5<<20), 'x'), 0o600))
		},
		"the header of a database, and noise": func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, append([]byte("SQLite format 3\x00"), noise[:4096]...), 0o600))
		},
		"an application's database": func(t *testing.T, path string) {
			applicationsFile(t, path, "DELETE")
		},
		"an application's database with a log": func(t *testing.T, path string) {
			applicationsFile(t, path, "WAL")
		},
		"an application's database that is damaged": func(t *testing.T, path string) {
			applicationsFile(t, path, "DELETE")
			data, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, append(data[:100:100], noise[:len(data)-100]...), 0o600))
		},
		"an application's database with the tables of an outbox": func(t *testing.T, path string) {
			applicationsFile(t, path, "DELETE")
			db := application(t, path)
			require.NoError(t, outbox.Migrate(t.Context(), db))
			require.NoError(t, db.Close())
		},
		"an application's database with the tables of an outbox, whose last page is cut": func(t *testing.T, path string) {
			applicationsFile(t, path, "DELETE")
			db := application(t, path)
			require.NoError(t, outbox.Migrate(t.Context(), db))
			require.NoError(t, db.Close())
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.NoError(t, os.Truncate(path, info.Size()-4096))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "config")
			make(t, path)
			before := snapshot(t, dir)
			for range 2 {
				_, err := outbox.Open(t.Context(), path)
				assert.True(t, isKind(err, outbox.StorageForeign), "%v", err)
			}
			assert.Equal(t, before, snapshot(t, dir))
		})
	}
}

// applicationsFile makes a database in which there is an order.
func applicationsFile(t *testing.T, path, journal string) {
	t.Helper()
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "PRAGMA journal_mode = "+journal+"; CREATE TABLE orders (id TEXT); INSERT INTO orders VALUES ('1')")
	require.NoError(t, err)
	require.NoError(t, db.Close())
}

// Litestream copies a file while it is used, and makes tables of its own in it.
func TestAFileThatLitestreamCopiesIsTheOutboxs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	closeBox(t, box)
	db := application(t, path)
	for _, table := range []string{"_litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)", "_litestream_lock (id INTEGER)"} {
		_, err := db.ExecContext(t.Context(), "CREATE TABLE "+table)
		require.NoError(t, err)
	}
	require.NoError(t, db.Close())
	box = open(t, path)
	var recorder kissmetricstest.Recorder
	deliver(t, box, &recorder)
	assert.Len(t, recorder.Records(), 1)
	closeBox(t, box)
	db = application(t, path)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE alitestream_seq (id INTEGER)") // another's
	require.NoError(t, err)
	_, err = outbox.Open(t.Context(), path)
	assert.True(t, isKind(err, outbox.StorageForeign), "%v", err)
}

// A file in which there is nothing is nobody's: it is what a failure of the power
// may leave of one that was just made.
func TestAFileOfNothingIsAnOutbox(t *testing.T) {
	t.Parallel()
	for name, data := range map[string][]byte{
		"empty":                        {},
		"zeros":                        make([]byte, 8192),
		"the beginning of a database":  []byte("SQLite format 3\x00\x10\x00"),
		"zeros longer than one window": make([]byte, 9<<20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			require.NoError(t, os.WriteFile(path, data, 0o600))
			box := open(t, path)
			require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
		})
	}
}

// A damaged file is an outbox's as long as there is anything of one in it.
func TestEveryTraceOfAnOutboxCounts(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "outbox.db")
	box := open(t, path)
	require.NoError(t, box.Send(t.Context(), []kissmetrics.Record{record("a")}))
	closeBox(t, box)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	const page = 4096
	message := bytes.Index(data, []byte("KMo1"))
	require.Greater(t, message, page)
	wipe := func(from, to int) []byte {
		wiped := bytes.Clone(data)
		copy(wiped[from:to], bytes.Repeat([]byte("?"), to-from))
		return wiped
	}
	for name, damaged := range map[string][]byte{
		"the mark in the header": append(bytes.Clone(data[:100]), bytes.Repeat([]byte("?"), 1000)...),
		"the names of tables":    wipe(0, 100)[:page],
		"a message":              wipe(0, page),
		"a message far behind":   append(bytes.Repeat([]byte("?"), 4<<20-30), data[message:message+500]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "outbox.db")
			require.NoError(t, os.WriteFile(path, damaged, 0o600))
			open(t, path)
			assert.FileExists(t, path+".damaged-1")
		})
	}
}

// The process that made a file may have ended while it made room in it.
func TestRoomThatIsHalfMadeIsRoom(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	closeBox(t, open(t, path, outbox.WithRoom(0)))
	db := application(t, path)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE kissmetrics_room AS SELECT zeroblob(1048576) AS room")
	require.NoError(t, errors.Join(err, db.Close()))
	open(t, path)
	var free int
	require.NoError(t, application(t, path).QueryRowContext(t.Context(), "PRAGMA freelist_count").Scan(&free))
	assert.Greater(t, free, 250, "pages")
}
