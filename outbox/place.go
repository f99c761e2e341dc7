package outbox

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// connector opens connections without a look at what other drivers there are.
type connector struct{ name string }

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.Driver().Open(c.name) }
func (c connector) Driver() driver.Driver                        { return &sqlite.Driver{} }

// dsn returns the name of a file for the driver. The parameters are given as
// pairs of a name and a value.
func dsn(path string, parameters ...[2]string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // such as C:/
		path = "/" + path
	}
	query := make(url.Values)
	for _, p := range parameters {
		query.Add(p[0], p[1])
	}
	// SQLite does not know + for a space.
	name := url.URL{Scheme: "file", Path: path, RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}
	return name.String()
}

// pragma is a parameter of dsn: a statement for every connection.
func pragma(statement string) [2]string { return [2]string{"_pragma", statement} }

// existing is a parameter of dsn: the file is not made.
func existing() [2]string { return [2]string{"mode", "rw"} }

// permissionsOf is a parameter of dsn: if the file is made, then with the owner
// and the permissions of another.
func permissionsOf(path string) [2]string { return [2]string{"modeof", path} }

// resolve returns the path of the file itself, where the one given leads to it by
// symbolic links: SQLite follows those, and what is beside the file must be the
// same for everybody. The file need not be there.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	for range 40 { // as many links as Linux follows
		var dir, target string
		if err == nil {
			dir, err = filepath.EvalSymlinks(filepath.Dir(path))
		}
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, filepath.Base(path))
		if target, err = os.Readlink(path); err != nil {
			return path, nil //nolint:nilerr // it is no link, or not there
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return "", &os.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
}

// makeFile makes an empty file for its owner alone, unless there is one. SQLite
// itself would make it as the process's umask says, and those beside it like it.
//
// The file is made elsewhere and linked to its place: closing a descriptor of a
// file that is already there would let go of the locks that SQLite has on it in
// this process.
func makeFile(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	made, err := os.CreateTemp(filepath.Dir(path), ".outbox-") // with the permissions 0600
	if err != nil {
		return err
	}
	err = made.Close()
	if err == nil {
		err = os.Link(made.Name(), path)
	}
	if errors.Is(err, fs.ErrExist) { // another was faster
		err = nil
	}
	if err != nil { // a file system without links
		var alone *os.File
		if alone, err = os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600); err == nil { //nolint:gosec // the path is the caller's
			err = alone.Close()
		}
	}
	if removed := os.Remove(made.Name()); !errors.Is(removed, fs.ErrNotExist) { // see checkNames
		err = errors.Join(err, removed)
	}
	return err
}

// checkNames refuses a file that has several names, or is mounted without its
// directory. SQLite keeps the log and the locks beside the name that it was given. So a
// process that comes by another name sees neither, and each undoes what the other stores.
func checkNames(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil //nolint:nilerr // whoever opens it says why
	}
	if linksOf(info) > 1 {
		dropMade(path, info)
		if info, err = os.Stat(path); err != nil {
			return nil //nolint:nilerr // the same
		}
	}
	switch {
	case linksOf(info) > 1:
		return errForeign(path, "has another name, too (a hard link), by which its log would not be found")
	case isMounted(path):
		return errForeign(path, "is mounted without its directory, where its log is kept: mount that")
	}
	return nil
}

// dropMade removes the names that makeFile made a file under, if it could not.
func dropMade(path string, file os.FileInfo) {
	dir := filepath.Dir(path)
	made, _ := fs.Glob(os.DirFS(dir), ".outbox-*")
	for _, name := range made {
		name = filepath.Join(dir, name)
		if info, err := os.Lstat(name); err == nil && os.SameFile(info, file) {
			_ = os.Remove(name)
		}
	}
}

// explain adds why a file cannot be opened, which SQLite does not say.
func explain(path string, err error) error {
	failed, ok := errors.AsType[*sqlite.Error](err)
	if !ok || failed.Code()&0xff != sqlite3.SQLITE_CANTOPEN {
		return err
	}
	why := &StorageError{Kind: StorageFailed}
	switch info, statErr := os.Stat(path); {
	case statErr != nil:
		why.Err = fmt.Errorf("%w: %w", failed, statErr)
		return why
	case info.IsDir():
		why.Err = fmt.Errorf("%w: %s is a directory", failed, path)
		return why
	}
	// To open the file itself would, when it is closed again, let go of the locks
	// that SQLite may have on it in this process.
	probe, probeErr := os.CreateTemp(filepath.Dir(path), ".outbox-")
	if probeErr == nil {
		_ = probe.Close()
		_ = os.Remove(probe.Name())
		return err
	}
	why.Kind = systemKind(probeErr)
	why.Err = fmt.Errorf("%w: %w", failed, probeErr)
	return why
}

// systemKind returns the kind of an error of the file system.
func systemKind(err error) StorageKind {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return StorageReadOnly
	case errors.Is(err, syscall.ENOSPC):
		return StorageDiskFull
	}
	return StorageFailed
}

// A place is what is at some paths.
type place map[string]os.FileInfo

// look returns what is at the paths.
func look(paths ...string) (place, error) {
	p := make(place, len(paths))
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		p[path] = info
	}
	return p, nil
}

// isAway reports whether something else is there now, or nothing. SQLite goes on
// with what it has open, which is nowhere.
func (p place) isAway() bool {
	for path, known := range p {
		if now, err := os.Stat(path); err != nil || !os.SameFile(known, now) {
			return true
		}
	}
	return false
}
