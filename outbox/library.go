package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"github.com/kissmetrics-go/kissmetrics"
)

// ErrLibrary is what the error of [Migrate], [Outbox.SendTx] or [Open] wraps when
// another SQLite library than this package's, which is modernc.org/sqlite, has the
// file open in the same process. It wraps [kissmetrics.ErrInvalidOption].
//
// Two SQLite libraries in one process destroy a file that both have open: on Unix,
// the locks on a file belong to the process, and each library lets go of those of
// the other. See "Multiple copies of SQLite linked into the same application" in
// https://www.sqlite.org/howtocorrupt.html.
var ErrLibrary = fmt.Errorf("%w: outbox: a file that two SQLite libraries of one process have open is destroyed, and this one is not modernc.org/sqlite", kissmetrics.ErrInvalidOption)

// buildOf asks an SQLite library for its version, and for how it was built. Two
// libraries of the same version were built by different compilers, or with
// different settings.
//
// It looks at no table, not even pragma_compile_options: that would begin to read
// the file, and a transaction that has read can write no more once another has
// written (SQLITE_BUSY_SNAPSHOT).
//
// It is put together when it is first asked, and not for every program that imports
// this package.
var buildOf = sync.OnceValue(func() string {
	var query strings.Builder
	query.WriteString("SELECT sqlite_source_id()")
	for i := range 80 { // libraries have about 40 settings
		fmt.Fprintf(&query, " || ' ' || coalesce(sqlite_compileoption_get(%d), '')", i)
	}
	return query.String()
})

// ownBuild returns what this package's library answers to buildOf.
func ownBuild(ctx context.Context) (build string, err error) {
	db := sql.OpenDB(connector{":memory:"})
	defer func() { _ = db.Close() }()
	err = db.QueryRowContext(ctx, buildOf()).Scan(&build)
	return build, storageError(err)
}

// checkLibrary returns ErrLibrary if a connection is not of the library that
// answers with build.
func checkLibrary(ctx context.Context, from queryer, build string) error {
	var theirs string
	err := from.QueryRowContext(ctx, buildOf()).Scan(&theirs)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrLibrary, err)
	case theirs != build:
		return ErrLibrary
	}
	return nil
}

// checkProcess refuses a file that something else in this process has open, as far
// as the system tells (Linux does). Another outbox may have it, which then has the
// lock open too. Where the file is the application's, so may the application; but
// if there is another SQLite library in the process, nobody can say which of the
// two it is.
func checkProcess(ctx context.Context, path string, shared bool) error {
	// An outbox has the lock open for longer than the file, and may come or go between
	// two looks.
	lock := path + "-lock"
	if isOpen(lock) || !isOpen(path) || isOpen(lock) {
		return nil
	}
	if !shared {
		return &StorageError{Kind: StorageForeign, Err: fmt.Errorf("something else in this process has %s open; if that is the application, it must be opened with WithSharedFile", filepath.Base(path))}
	}
	build, err := ownBuild(ctx)
	if err != nil {
		return err
	}
	if other := otherLibrary(ctx, build); other != "" {
		return fmt.Errorf("%w: this process has the file open already, and has the library %s too", ErrLibrary, other)
	}
	return nil
}

// isOpen reports whether a file is known to be open in this process. It looks at
// the descriptors without opening the file: closing it again would let go of the
// locks on it.
func isOpen(path string) bool {
	known, err := os.Stat(path)
	if err != nil {
		return false
	}
	const descriptors = "/proc/self/fd"
	open, err := os.ReadDir(descriptors)
	if err != nil {
		return false // not Linux
	}
	for _, d := range open {
		if info, err := os.Stat(filepath.Join(descriptors, d.Name())); err == nil && os.SameFile(info, known) {
			return true
		}
	}
	return false
}

// otherLibrary returns the package of a driver, among those that are registered,
// that has another SQLite library, and "" if there is none.
func otherLibrary(ctx context.Context, build string) string {
	for _, name := range sql.Drivers() {
		db, err := sql.Open(name, ":memory:")
		if err != nil {
			continue // it is no SQLite
		}
		var theirs string
		driver := reflect.TypeOf(db.Driver())
		for driver.Kind() == reflect.Pointer {
			driver = driver.Elem()
		}
		// Others are not asked: for them the name may be that of a server.
		if strings.Contains(strings.ToLower(driver.PkgPath()), "sqlite") {
			err = db.QueryRowContext(ctx, buildOf()).Scan(&theirs)
		}
		_ = db.Close()
		if err == nil && theirs != "" && theirs != build {
			return driver.PkgPath()
		}
	}
	return ""
}
