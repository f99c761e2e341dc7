package outbox

import (
	"context"
	"database/sql"
)

// totals is the row of kissmetrics_totals, or what changes of it.
type totals struct {
	messages, records, bytes, delivered, parked int64
	settledAt                                   int64 // Unix milliseconds; a change of it is the new value
}

// queryer is a connection or a transaction.
type queryer interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func (t *totals) read(ctx context.Context, from queryer) error {
	const query = "SELECT messages, records, bytes, delivered, parked, settled_at FROM kissmetrics_totals WHERE id = 1"
	return from.QueryRowContext(ctx, query).Scan(&t.messages, &t.records, &t.bytes, &t.delivered, &t.parked, &t.settledAt)
}

// remove notes that a message does not wait any more.
func (t *totals) remove(records, bytes int) {
	t.messages--
	t.records -= int64(records)
	t.bytes -= int64(bytes)
}

// add changes the row by t.
func (t *totals) add(ctx context.Context, to execer) error {
	if *t == (totals{}) {
		return nil
	}
	_, err := to.ExecContext(ctx, `UPDATE kissmetrics_totals SET messages = messages + ?, records = records + ?,
		bytes = bytes + ?, delivered = delivered + ?, parked = parked + ?, settled_at = coalesce(nullif(?, 0), settled_at) WHERE id = 1`,
		t.messages, t.records, t.bytes, t.delivered, t.parked, t.settledAt)
	return err
}
