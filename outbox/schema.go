package outbox

import (
	"context"
	"database/sql"
	"strings"
)

// Schema is the SQL that makes what the outbox keeps in a database, three tables
// whose names begin with kissmetrics_; what exists it leaves as it is. [Open]
// runs it, unless the file is shared; see [Migrate].
//
// The message of a row is, in this order: "KMo1" where it waits or "KMp1" where
// it is parked, of which the digit is the version of the form; the Unix second at
// which it was accepted in 8 bytes, the number of its records in 4 and the length
// of what follows in 4, all big-endian; one line of Kissmetrics' bulk import for
// each record ([kissmetrics.Record.MarshalJSON]); and the CRC-32C of all that.
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
	id        INTEGER PRIMARY KEY CHECK (id = 1),
	messages  INTEGER NOT NULL, -- that wait, and so do the
	records   INTEGER NOT NULL,
	bytes     INTEGER NOT NULL,
	delivered INTEGER NOT NULL, -- records, since the beginning
	parked    INTEGER NOT NULL  -- rows of kissmetrics_parked
);
INSERT OR IGNORE INTO kissmetrics_totals VALUES (1, 0, 0, 0, 0, 0);
`

const (
	insertWaiting = "INSERT INTO kissmetrics_waiting (message) VALUES (?)"
	removeWaiting = "DELETE FROM kissmetrics_waiting WHERE id = ?"
	insertParked  = "INSERT INTO kissmetrics_parked (message, parked_at, reason) VALUES (?, ?, ?)"
)

// Migrate runs [Schema], all or nothing, in a database of the application's own.
// It may be called at every start. An application with migrations of its own can
// make the SQL of Schema one of them instead.
func Migrate(ctx context.Context, db *sql.DB) error {
	if db == nil {
		return errNilDB
	}
	ctx = orBackground(ctx)
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
