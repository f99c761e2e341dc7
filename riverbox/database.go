package riverbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/puddle/v2"
)

// tableName returns the name of River's table of jobs, as it stands in a query.
func tableName(schema string) string {
	if schema == "" {
		return "river_job"
	}
	return pgx.Identifier{schema, "river_job"}.Sanitize()
}

// in puts the name of the table into a query.
func (s *Sender) in(query string) string { return strings.ReplaceAll(query, "river_job", s.table) }

// queryRow runs a query on the jobs of this package and this queue: the kind is its
// argument $1, and the queue $2.
func (s *Sender) queryRow(ctx context.Context, query string, more ...any) pgx.Row {
	return s.pool.QueryRow(ctx, s.in(query), slices.Concat([]any{Args{}.Kind(), s.config.queue}, more)...)
}

// check reports whether River's tables are there, with what this package needs. It
// is a statement with arguments, which is prepared where statements are. It also
// reports whether row-level security may hide jobs from this role.
func (s *Sender) check(ctx context.Context) (hides bool, err error) {
	var none int
	err = s.queryRow(ctx, `SELECT count(*), row_security_active($3) FROM
		(SELECT unique_key, unique_states FROM river_job WHERE kind = $1 AND queue = $2 LIMIT 0) AS columns`, s.table).Scan(&none, &hides)
	if isGone(err) {
		return false, fmt.Errorf("riverbox: River's tables are missing or too old, run its migrations: %w", err)
	}
	return hides, s.failed(ctx, "looking for River's tables", err)
}

// warnHidden says that jobs may be out of sight, which no query tells.
func (s *Sender) warnHidden(ctx context.Context) {
	s.config.logger.WarnContext(ctx, "riverbox: row-level security is on for River's jobs; those that its policies hide from this role are neither delivered nor counted")
}

// failed wraps the error of a query, if there is one. The texts of PostgreSQL's
// errors quote no values; only their details do.
func (s *Sender) failed(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("riverbox: %s: %w", doing, explained(err))
}

// isGone reports whether the database says that the tables are not there.
func isGone(err error) bool {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch failed.Code {
	case "3D000", "3F000", "42P01", "42703": // database, schema, table or column does not exist
		return true
	}
	return false
}

// isFinal reports whether a relay that got this error can never go on.
func isFinal(err error) bool { return isGone(err) || errors.Is(err, puddle.ErrClosedPool) }

// explained adds the remedy to an error that only a pooler of transactions, or the
// wrong server, causes.
func explained(err error) error {
	failed, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	switch failed.Code {
	case "26000", "42P05": // a prepared statement is not there, or there already
		return fmt.Errorf("%w (behind PgBouncer in transaction mode, connect with default_query_exec_mode=exec)", err)
	case "25006": // read-only
		return fmt.Errorf("%w (this may be a standby: connect to the primary, or to several servers with target_session_attrs=read-write)", err)
	}
	return err
}
