package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/kissmetrics-go/kissmetrics/internal/nilness"
)

// Schema is the SQL that makes what the outbox keeps in a database: three tables
// whose names begin with kissmetrics_. It changes nothing that exists. [Open] runs
// it, unless the file is shared; see [Migrate].
//
// The message of a row is, in this order: "KMo1" if it waits or "KMp1" if it is
// parked, where the digit is the version of the form; the Unix second at which it
// was accepted in 8 bytes, the number of its records in 4 and the length of what
// follows in 4, all big-endian; one line of Kissmetrics' bulk import for each
// record ([kissmetrics.Record.MarshalJSON]); and the CRC-32C of all that.
const Schema = `CREATE TABLE IF NOT EXISTS kissmetrics_waiting (
	id      INTEGER PRIMARY KEY AUTOINCREMENT, -- in the order of acceptance
	message BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS kissmetrics_parked (
	id        INTEGER PRIMARY KEY AUTOINCREMENT,
	message   BLOB NOT NULL,
	parked_at INTEGER NOT NULL, -- Unix seconds
	reason    TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS kissmetrics_totals (
	id         INTEGER PRIMARY KEY CHECK (id = 1),
	messages   INTEGER NOT NULL, -- that wait, and so do the
	records    INTEGER NOT NULL,
	bytes      INTEGER NOT NULL,
	delivered  INTEGER NOT NULL, -- records, since the beginning
	parked     INTEGER NOT NULL, -- rows of kissmetrics_parked
	settled_at INTEGER NOT NULL  -- when something was delivered or parked last, in Unix milliseconds
);
INSERT OR IGNORE INTO kissmetrics_totals VALUES (1, 0, 0, 0, 0, 0, 0);
`

const (
	selectWaiting = "SELECT id, message FROM kissmetrics_waiting WHERE id > ? ORDER BY id LIMIT ?"
	anyUpTo       = "SELECT EXISTS (SELECT 1 FROM kissmetrics_waiting WHERE id <= ?)"
	insertWaiting = "INSERT INTO kissmetrics_waiting (message) VALUES (?)"
	isWaiting     = "SELECT EXISTS (SELECT 1 FROM kissmetrics_waiting WHERE id = ?)"
	tailOf        = "SELECT substr(message, -4) FROM kissmetrics_waiting WHERE id = ?"
	schemaVersion = "PRAGMA schema_version"
	removeWaiting = "DELETE FROM kissmetrics_waiting WHERE id = ?"
	removeRun     = "DELETE FROM kissmetrics_waiting WHERE id BETWEEN ? AND ?"
	insertParked  = "INSERT INTO kissmetrics_parked (message, parked_at, reason) VALUES (?, ?, ?)"
)

// Migrate runs [Schema], all or nothing, in a database of the application's own.
// It may be called at every start. An application with migrations of its own can
// make the SQL of Schema one of them instead.
//
// The handle must be one of the driver modernc.org/sqlite. If it is not, Migrate
// changes nothing and returns an error that wraps [ErrLibrary].
func Migrate(ctx context.Context, db *sql.DB) error {
	if db == nil {
		return errNilDB
	}
	ctx = nilness.Context(ctx)
	build, err := ownBuild(ctx)
	if err != nil {
		return err
	}
	if err := checkLibrary(ctx, db, build); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return storageError(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := migrate(ctx, tx); err != nil {
		return storageError(err)
	}
	return storageError(tx.Commit())
}

// execer is a connection or a transaction.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// migrateOwn is migrate for a file that is the outbox's own, which it marks.
func migrateOwn(ctx context.Context, tx execer) error {
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d", applicationID)); err != nil {
		return err
	}
	return migrate(ctx, tx)
}

// migrate runs Schema one statement at a time, for not every driver takes more.
func migrate(ctx context.Context, tx execer) error {
	for statement := range strings.SplitSeq(Schema, ";\n") {
		if statement == "" {
			continue
		}
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
