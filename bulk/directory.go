package bulk

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/kissmetrics-go/kissmetrics/internal/durable"
)

// The files of a directory.
const (
	lockName     = "lock"
	openName     = "open"       // to which is appended
	stateName    = "state.json" // see state
	sealedSuffix = ".sealed"    // what is to be uploaded: <time>-<id>.sealed
	nameTime     = "20060102T150405Z"
)

// A directory is one that is locked.
type directory struct {
	path   string
	lock   *flock.Flock
	locked os.FileInfo // of the lock
}

// openDirectory makes a directory where there is none, and waits until it is its owner.
func openDirectory(ctx context.Context, path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, storageError(err)
	}
	lock := flock.New(filepath.Join(path, lockName), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("bulk: the directory is in use by another sender: %w", ctx.Err())
		}
		return nil, storageError(err)
	}
	locked, err := lock.Stat()
	if err != nil {
		return nil, errors.Join(storageError(err), lock.Close())
	}
	return &directory{path, lock, locked}, nil
}

// isAt returns an error if a file is no longer where it was. What is written to it then
// gets lost. If it is the lock, another sender may have the directory.
func isAt(file os.FileInfo, path string) error {
	there, err := os.Stat(path)
	if err == nil && !os.SameFile(file, there) {
		err = &os.PathError{Op: "write", Path: path, Err: errReplaced}
	}
	return err
}

var errReplaced = errors.New("another file is there now")

func (d *directory) file(name string) string { return filepath.Join(d.path, name) }

// rename renames a file. It replaces none. The disk knows after the next sync.
func (d *directory) rename(from, to string) error {
	if _, err := os.Lstat(d.file(to)); err == nil {
		return &os.PathError{Op: "rename", Path: d.file(to), Err: fs.ErrExist}
	}
	return os.Rename(d.file(from), d.file(to))
}

func (d *directory) remove(name string) error {
	if err := os.Remove(d.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}

// sync has the disk store which files there are.
func (d *directory) sync() error { return durable.Sync(d.path) }

// A state is what outlasts the files.
type state struct {
	// Last is the name of the newest object, At the time that it has, and File the id of
	// the file for which it was made.
	Last string    `json:"last_object"`
	At   time.Time `json:"last_time"`
	File string    `json:"last_file"`
	// Delivered is how many records all objects have.
	Delivered int64 `json:"delivered"`
	// NotBefore is when the next file may be closed.
	NotBefore time.Time `json:"not_before"`
}

// readState reads the state. If there is none, or it is damaged, it is empty.
func (d *directory) readState() (s state, err error) {
	data, err := os.ReadFile(d.file(stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	if json.Unmarshal(data, &s) != nil {
		s = state{}
	}
	return s, nil
}

// writeState replaces the state: by the old one or the new one, whatever happens.
func (d *directory) writeState(s state) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(d.file(stateName+".new"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(data, '\n'))
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(d.file(stateName+".new"), d.file(stateName)); err != nil {
		return err
	}
	return d.sync()
}

// A sealedFile is one that is to be uploaded. Nothing is appended to it any more.
type sealedFile struct {
	at time.Time // for the name of its object
	id string    // by which its object is known
	content
}

func (f *sealedFile) name() string { return f.at.Format(nameTime) + "-" + f.id + sealedSuffix }

func newSealed(at time.Time, c content) *sealedFile {
	return &sealedFile{at: at.UTC().Truncate(time.Second), id: rand.Text(), content: c}
}

// findSealed returns the files that are to be uploaded, in order. There are several only
// where people have put the files of another directory.
func (d *directory) findSealed() (found []*sealedFile, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		name, isSealed := strings.CutSuffix(entry.Name(), sealedSuffix)
		if !isSealed {
			continue
		}
		at, id, _ := strings.Cut(name, "-")
		f := &sealedFile{id: id}
		if f.at, err = time.Parse(nameTime, at); err != nil {
			return nil, err
		}
		if f.content, err = d.scanSealed(f.name()); err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// scanSealed reads all of a file to which nothing is appended any more.
func (d *directory) scanSealed(name string) (c content, err error) {
	file, err := os.Open(d.file(name))
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return c, err
	}
	if c, err = scan(file); err == nil {
		c.damaged += info.Size() - c.end
	}
	return c, err
}

// An openFile is appended to. It is for one goroutine.
type openFile struct {
	directory *directory
	sync      func(*os.File) error
	file      *os.File // nil if there is none
	info      os.FileInfo
	end       int64
	dirty     bool // there may be something behind the end
	known     bool // the disk knows the file
}

// openOpen opens the file, if there is one, and cuts off what a crash has left half
// written.
func (d *directory) openOpen(sync func(*os.File) error) (f *openFile, c content, cut int64, err error) {
	f = &openFile{directory: d, sync: sync, dirty: true}
	file, err := os.OpenFile(d.file(openName), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return f, c, 0, nil
	} else if err != nil {
		return nil, c, 0, err
	}
	f.file = file
	f.info, err = file.Stat()
	if err == nil {
		c, err = scan(file)
	}
	if err == nil {
		f.end, cut = c.end, f.info.Size()-c.end
		err = f.prepare()
	}
	if err != nil {
		return nil, c, 0, errors.Join(err, file.Close())
	}
	return f, c, cut, nil
}

// prepare makes the file where there is none, and cuts off what is behind the end.
func (f *openFile) prepare() error {
	if err := isAt(f.directory.locked, f.directory.file(lockName)); err != nil {
		return err
	}
	if err := f.make(); err != nil {
		return err
	}
	if f.dirty {
		if err := errors.Join(f.file.Truncate(f.end), f.sync(f.file)); err != nil {
			return err
		}
		f.dirty = false
	}
	if !f.known {
		if err := f.directory.sync(); err != nil {
			return err
		}
		f.known = true
	}
	return nil
}

// make makes the file where there is none.
func (f *openFile) make() error {
	path := f.directory.file(openName)
	if f.file != nil {
		return isAt(f.info, path)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // in the caller's directory
	if err != nil {
		return err
	}
	if f.info, err = file.Stat(); err != nil {
		return errors.Join(err, file.Close())
	}
	f.file, f.end, f.dirty, f.known = file, 0, true, false
	return nil
}

// append adds a frame, and returns when the disk has it. If that fails, there is
// nothing of it.
func (f *openFile) append(frame []byte) error {
	if err := f.prepare(); err != nil {
		return err
	}
	f.dirty = true
	_, err := f.file.WriteAt(frame, f.end)
	if err == nil {
		err = f.sync(f.file)
	}
	if err != nil {
		_ = f.prepare() // or before the next one is written
		return err
	}
	f.end += int64(len(frame))
	f.dirty = false
	return nil
}

// renameTo gives the file another name. The next frame is the first of another file.
func (f *openFile) renameTo(name string) error {
	if err := f.prepare(); err != nil {
		return err
	}
	if err := f.directory.rename(openName, name); err != nil {
		return err
	}
	err := f.file.Close() // all of it is on the disk
	f.file = nil
	return err
}

func (f *openFile) close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}
