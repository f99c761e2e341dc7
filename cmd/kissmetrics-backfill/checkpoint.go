package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/kissmetrics-go/kissmetrics/internal/durable"
)

// A checkpoint says how far a run has got.
type checkpoint struct {
	Settings settings    `json:"settings"`
	Head     fingerprint `json:"head"`
	state    state
	File     fileMark `json:"file"` // how far the import files have got
	Done     bool     `json:"done"` // whether nothing is left
	found    bool     // whether an earlier run wrote it
}

// settings must be the same when a run is resumed.
type settings struct {
	Input  string    `json:"input"`
	Import string    `json:"import,omitempty"`
	Server string    `json:"server,omitempty"`
	Prefix string    `json:"prefix"`
	Strict bool      `json:"strict,omitempty"`
	Now    time.Time `json:"now,omitzero"`
}

// stored is the form in which a checkpoint is written.
type stored struct {
	checkpoint
	State state `json:"state"`
}

func (f *flags) settings() (settings, error) {
	s := settings{Input: f.file, Import: f.importDir, Prefix: f.prefix, Strict: f.strict, Now: f.now}
	switch {
	case f.demo():
		s.Server = "demonstration"
	case f.live:
		s.Server = f.baseURL
	}
	for _, path := range []*string{&s.Input, &s.Import} {
		if *path == "" || *path == "-" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return s, err
		}
	}
	return s, nil
}

// load returns the checkpoint to resume from, or a fresh one.
func (f *flags) load() (*checkpoint, error) {
	settings, err := f.settings()
	if err != nil {
		return nil, err
	}
	fresh := &checkpoint{Settings: settings}
	if f.checkpoint == "" {
		return fresh, nil
	}
	data, err := os.ReadFile(f.checkpoint) //nolint:gosec // the user names it
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fresh, nil
	case err != nil:
		return nil, err
	case !f.resume:
		return nil, usageError{fmt.Errorf("the checkpoint %s exists: continue from it with -resume, or delete it to start again", f.checkpoint)}
	}
	var saved stored
	if err := json.Unmarshal(data, &saved); err != nil {
		return nil, fmt.Errorf("reading the checkpoint %s: %w", f.checkpoint, err)
	}
	if least := min(int64(saved.Head.Bytes), saved.State.Line, saved.State.Offset, saved.State.RefusedBytes, int64(saved.File.Number), saved.File.Bytes); least < 0 {
		return nil, fmt.Errorf("the checkpoint %s is damaged: it has a number below zero", f.checkpoint)
	}
	if saved.Settings != settings && !saved.Settings.same(settings) {
		return nil, usageError{fmt.Errorf("the checkpoint %s belongs to a run with another file, -import, -base-url, -prefix, -strict or -now", f.checkpoint)}
	}
	saved.state, saved.found = saved.State, true
	return &saved.checkpoint, nil
}

func (s settings) same(other settings) bool {
	sameTime := s.Now.Equal(other.Now)
	s.Now, other.Now = time.Time{}, time.Time{}
	return sameTime && s == other
}

// save writes a checkpoint so that there is always a complete one, either the old
// or the new.
func (c *checkpoint) save(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(stored{*c, c.state}, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(path, append(data, '\n'))
}

func replaceFile(path string, data []byte) error {
	f, err := os.Create(path + ".tmp") //nolint:gosec // the user names it
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		return rename(f.Name(), path)
	}
	_ = os.Remove(f.Name()) // to free its space
	return err
}

// rename renames a file durably.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.Sync(filepath.Dir(to))
}

// rejects is the file of refused lines.
type rejects struct {
	f     *os.File // nil if they are not kept
	w     *bufio.Writer
	bytes int64
}

// openRejects opens the file and cuts off what was written after the checkpoint.
func openRejects(path string, saved *checkpoint) (*rejects, error) {
	if path == "" {
		return &rejects{w: bufio.NewWriter(io.Discard)}, nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the user names it
	if err != nil {
		return nil, err
	}
	size := saved.state.RefusedBytes
	info, err := f.Stat()
	switch {
	case err != nil:
	case !saved.found && info.Size() > 0:
		err = usageError{fmt.Errorf("%s holds the refused lines of another run: move it away", path)}
	case info.Size() < size:
		err = fmt.Errorf("%s is shorter than the checkpoint says", path)
	default:
		err = errors.Join(f.Truncate(size), durable.Sync(filepath.Dir(path)))
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &rejects{f, bufio.NewWriterSize(f, 64<<10), size}, nil
}

// A reject is the form in which a refused line is kept.
type reject struct {
	Line   int64  `json:"line"`
	Reason string `json:"reason"`
	Input  string `json:"input,omitempty"`
}

func (r *rejects) write(refused []*entry) error {
	for _, e := range refused {
		kept := reject{Line: e.number, Reason: strings.Join(e.reasons, "; ")}
		if e.length <= maxLineBytes {
			kept.Input = string(e.text)
		}
		data, err := json.Marshal(kept)
		if err != nil {
			return err
		}
		n, err := r.w.Write(append(data, '\n'))
		r.bytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rejects) sync() error {
	if err := r.w.Flush(); err != nil || r.f == nil {
		return err
	}
	return r.f.Sync()
}

// close closes the file, and removes it if it is empty.
func (r *rejects) close() {
	if r.f == nil {
		return
	}
	_ = r.f.Close()
	if r.bytes == 0 {
		_ = os.Remove(r.f.Name()) //nolint:gosec // the user names it
	}
}
