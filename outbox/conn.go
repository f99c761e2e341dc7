package outbox

import (
	"context"
	"database/sql"
)

// A conn is a connection that prepares each statement once, for the few that it
// is used for. A PRAGMA that changes a setting may do so when it is prepared, so one
// that is needed twice must go by the Conn itself.
type conn struct {
	*sql.Conn

	prepared map[string]*sql.Stmt
}

func (c *conn) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	statement, err := c.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(ctx, args...)
}

func (c *conn) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, err := c.prepare(ctx, query)
	if err != nil {
		return c.Conn.QueryRowContext(ctx, query, args...) // which says why
	}
	return statement.QueryRowContext(ctx, args...)
}

func (c *conn) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement, ok := c.prepared[query]; ok {
		return statement, nil
	}
	statement, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	c.prepared[query] = statement
	return statement, nil
}

func (c *conn) Close() error {
	for _, statement := range c.prepared {
		_ = statement.Close()
	}
	return c.Conn.Close()
}
