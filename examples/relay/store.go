package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/kissmetrics-go/kissmetrics"
)

// A store is where records wait for their delivery: a queue in memory, and a file
// for what is left of it when the program ends. To survive a crash as well, put a
// durable sender in its place; nothing but this file knows of it.
type store struct {
	*kissmetrics.Queue

	path   string               // empty for none
	rest   []kissmetrics.Record // of the file, for which the queue had no room
	logger *slog.Logger
}

// openStore returns a store that holds what the file has kept.
func openStore(ctx context.Context, next kissmetrics.Sender, c config, logger *slog.Logger) (*store, error) {
	queue, err := kissmetrics.NewQueue(next, kissmetrics.WithLogger(logger))
	if err != nil {
		return nil, fmt.Errorf("making a queue: %w", err)
	}
	s := &store{Queue: queue, path: c.undelivered, logger: logger}
	if err := s.load(ctx); err != nil {
		stopped, cancel := context.WithCancel(ctx)
		cancel()
		_ = queue.Close(stopped) // all that is in it is in the file too
		return nil, fmt.Errorf("reading %s: %w", s.path, err)
	}
	return s, nil
}

// load puts the file's records into the queue. The file is left as it is until
// Close, for a crash before that: to deliver a record twice is harmless. What the
// queue has no room for waits for the next start, and keeps nothing from this
// one: by itself, a record takes a little more room than in its message.
func (s *store) load(ctx context.Context) error {
	if s.path == "" {
		return nil
	}
	file, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	loaded := 0
	for line, err := range kissmetrics.ReadImport(file) {
		record := line.WithProtocol() // as it was written
		if err == nil {
			err = s.Send(ctx, []kissmetrics.Record{record})
		}
		switch {
		case err == nil:
			loaded++
		case errors.Is(err, kissmetrics.ErrQueueFull):
			s.rest = append(s.rest, record)
		default:
			return err
		}
	}
	if loaded > 0 {
		s.logger.InfoContext(ctx, "taking up what was not delivered", "records", loaded, "left for the next start", len(s.rest))
	}
	return nil
}

// Close delivers what it can until ctx ends, and saves the rest.
func (s *store) Close(ctx context.Context) error {
	err := s.Queue.Close(ctx)
	if s.path == "" {
		return err
	}
	records := s.rest
	if undelivered, ok := errors.AsType[*kissmetrics.UndeliveredError](err); ok {
		records, err = append(records, undelivered.Records...), nil
	}
	if len(records) == 0 {
		if removed := os.Remove(s.path); !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
		return err
	}
	if failed := save(s.path, records); failed != nil {
		return errors.Join(err, fmt.Errorf("%d records are lost: %w", len(records), failed))
	}
	s.logger.Warn("saved what was not delivered", "records", len(records), "file", s.path)
	return err
}

// save writes records as lines of JSON, all of them or none. They are not for an
// import, which would refuse an alias without a time.
func save(path string, records []kissmetrics.Record) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // or it has its new name
	buffered := bufio.NewWriter(file)
	encoder := json.NewEncoder(buffered)
	for i := range records {
		err = errors.Join(err, encoder.Encode(records[i]))
	}
	if err := errors.Join(err, buffered.Flush(), file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
