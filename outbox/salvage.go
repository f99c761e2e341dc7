package outbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"time"
)

// salvaged is the ending of a file that holds all that could be read of the
// damaged one, and is about to take its place.
const salvaged = "-salvaged"

// salvage makes a new file of what can be read of the damaged one, which is kept
// beside it under another name, and puts an entry that says so among what is
// parked. The caller has excluded everybody else.
func (o *Outbox) salvage(ctx context.Context, why error) error {
	building := o.path + "-building"
	if err := removeDatabase(building); err != nil {
		return err
	}
	// With SQLite first, while its log is in its place; and then, for what SQLite
	// cannot find any more, in every page of both.
	var raw [][]byte
	for _, source := range []string{o.path, o.path + "-wal"} {
		data, err := os.ReadFile(source) //nolint:gosec // the caller's file
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		raw = append(raw, data)
	}
	db := sql.OpenDB(connector{dsn(building, permissionsOf(o.path), pragma("synchronous(FULL)"), pragma("journal_mode(DELETE)"))})
	db.SetMaxOpenConns(1)
	found, err := o.fill(ctx, db, raw, why)
	if err = errors.Join(err, db.Close()); err != nil {
		return errors.Join(err, removeDatabase(building)) // it may have filled the disk
	}
	if err := os.Rename(building, o.path+salvaged); err != nil {
		return err
	}
	o.config.logger.Error("outbox: what could be read is saved", "messages", found)
	return o.exchange()
}

// exchange puts what was salvaged in the place of the damaged file. If it is
// interrupted, it is done again when the outbox is opened.
func (o *Outbox) exchange() error {
	spare := o.spare("")
	for _, ending := range []string{"-wal", ""} {
		if err := os.Rename(o.path+ending, spare+ending); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	if err := os.Remove(o.path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(o.path+salvaged, o.path)
}

func removeDatabase(path string) error {
	for _, ending := range []string{"", "-journal", "-wal", "-shm"} {
		if err := os.Remove(path + ending); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// A filler fills a new file.
type filler struct {
	tx    *sql.Tx
	known map[[sha256.Size]byte]bool
	total totals
}

func (o *Outbox) fill(ctx context.Context, db *sql.DB, raw [][]byte, why error) (found int, err error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	if err := migrateOwn(ctx, tx); err != nil {
		return 0, err
	}
	f := &filler{tx: tx, known: make(map[[sha256.Size]byte]bool)}
	if err := f.walk(ctx, o.path); err != nil {
		return 0, err
	}
	for _, data := range raw {
		if err := scan(data, func(m []byte) error { return f.add(ctx, m, "", time.Now().Unix()) }); err != nil {
			return 0, err
		}
	}
	reason := fmt.Sprintf("%s; %d messages could be read, and the damaged file is kept as %s", why, len(f.known), o.spare(""))
	if err := f.park(ctx, nil, reason, time.Now().Unix()); err != nil {
		return 0, err
	}
	if err := f.total.add(ctx, tx); err != nil {
		return 0, err
	}
	return len(f.known), tx.Commit()
}

// walk adds what SQLite can read. Of every table it reads from both ends, as far
// as it gets.
func (f *filler) walk(ctx context.Context, path string) error {
	// Without a look at the length of the file and at what the schema says.
	db := sql.OpenDB(connector{dsn(path, pragma("writable_schema(ON)"), pragma("busy_timeout(0)"))})
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	var foreign int
	if db.QueryRowContext(ctx, foreignTables).Scan(&foreign) == nil && foreign > 0 {
		return errForeign(path, "holds tables of an application, which must be opened with WithSharedFile")
	}
	var delivered sql.NullInt64
	if db.QueryRowContext(ctx, "SELECT delivered FROM kissmetrics_totals WHERE id = 1").Scan(&delivered) == nil && delivered.Int64 > 0 {
		f.total.delivered = delivered.Int64
	}
	for _, query := range []string{
		"SELECT message, 0, '' FROM kissmetrics_waiting ORDER BY id",
		"SELECT message, 0, '' FROM kissmetrics_waiting ORDER BY id DESC",
		"SELECT message, parked_at, reason FROM kissmetrics_parked ORDER BY id",
		"SELECT message, parked_at, reason FROM kissmetrics_parked ORDER BY id DESC",
	} {
		if err := f.query(ctx, db, query); err != nil {
			return err
		}
	}
	return nil
}

// query adds what a query finds, until it fails.
func (f *filler) query(ctx context.Context, db *sql.DB, query string) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil //nolint:nilerr // there is nothing to be read
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var message, at, reason any // whatever the damage has made of them
		if rows.Scan(&message, &at, &reason) != nil {
			continue
		}
		m, _ := message.([]byte)
		second, _ := at.(int64)
		text, _ := reason.(string)
		if err := f.add(ctx, m, text, second); err != nil {
			return err
		}
	}
	return nil
}

// add adds a message that can be read, once, and leaves others alone: they are in
// the file that is kept.
func (f *filler) add(ctx context.Context, m []byte, reason string, at int64) error {
	records, s, err := decode(m)
	if errors.Is(err, errUnreadable) {
		return nil
	}
	sum := sha256.Sum256(m)
	if f.known[sum] {
		return nil
	}
	f.known[sum] = true
	if err != nil { // it is what was stored, and for a later version to read
		return f.park(ctx, m, "unreadable: "+err.Error(), at)
	}
	if s.parked {
		if reason == "" {
			reason = "found in a damaged file, without the reason"
		}
		return f.park(ctx, m, reason, at)
	}
	f.total.messages++
	f.total.records += int64(len(records))
	f.total.bytes += int64(len(m))
	_, err = f.tx.ExecContext(ctx, "INSERT INTO kissmetrics_waiting (message) VALUES (?)", m)
	return err
}

func (f *filler) park(ctx context.Context, m []byte, reason string, at int64) error {
	f.total.parked++
	if m == nil {
		m = []byte{}
	}
	_, err := f.tx.ExecContext(ctx, "INSERT INTO kissmetrics_parked (message, parked_at, reason) VALUES (?, ?, ?)", m, at, reason)
	return err
}

// scan finds messages in the pages of a file. One that fits a page is in one
// piece; a longer one only SQLite can put together.
func scan(data []byte, found func(m []byte) error) error {
	for {
		i := bytes.Index(data, []byte("KM"))
		if i < 0 {
			return nil
		}
		data = data[i:]
		if _, size, ok := parse(data, true); ok {
			if err := found(data[:size]); err != nil {
				return err
			}
			data = data[size:]
			continue
		}
		data = data[1:]
	}
}
