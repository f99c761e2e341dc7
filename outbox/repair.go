package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// breaks notes that the file is damaged. The relay lets go of it, and the writer
// repairs it before it commits anything more.
func (o *Outbox) breaks() {
	if !o.broken.Swap(true) {
		o.config.logger.Error("outbox: the file is damaged")
	}
	notify(o.stored)
}

// repair exchanges the file for one that can be used. It is the writer's.
func (o *Outbox) repair(ctx context.Context) error {
	if o.failure != nil && time.Since(o.tried) < afterFailure {
		return o.failure
	}
	o.fileMu.Lock()
	defer o.fileMu.Unlock()
	force := !o.config.shared
	if o.file != nil {
		force = force && !o.file.isAway() // for what is there now may be in order
		_ = o.file.close()                // it may be damaged too much for an orderly end
		o.file = nil
	}
	o.lock.unshare()
	f, err := o.open(ctx, force)
	o.tried, o.failure = time.Now(), err
	if err != nil {
		return err
	}
	o.file = f
	o.generation++
	o.broken.Store(false)
	return nil
}

// open opens the file. What is wrong with it is put right if nobody else has it
// open, and nothing but the outbox is in it.
func (o *Outbox) open(ctx context.Context, force bool) (*file, error) {
	if !o.config.shared {
		if err := o.prepare(ctx); err != nil {
			return nil, err
		}
	}
	if err := o.lock.share(ctx); err != nil {
		return nil, err
	}
	f, err := openFile(ctx, o.path, o.config)
	if err == nil && !force || err != nil && (o.config.shared || !isDamaged(err)) {
		if err != nil {
			o.lock.unshare()
		}
		return f, err
	}
	if err == nil {
		err = damaged("messages are missing")
		_ = f.close()
	}
	o.lock.unshare()
	release, locked := o.lock.exclude(ctx)
	if locked != nil {
		return nil, errors.Join(err, fmt.Errorf("outbox: it cannot be repaired while another has it open: %w", locked))
	}
	o.config.logger.Error("outbox: the file is damaged; what can be read is saved", "error", err)
	failed := o.salvage(ctx, err)
	release()
	if failed != nil {
		return nil, errors.Join(err, fmt.Errorf("outbox: it could not be repaired: %w", failed))
	}
	if err := o.lock.share(ctx); err != nil {
		return nil, err
	}
	f, err = openFile(ctx, o.path, o.config)
	if err != nil {
		o.lock.unshare()
	}
	return f, err
}

// prepare ends a repair that was interrupted, where nobody has the file open.
func (o *Outbox) prepare(ctx context.Context) error {
	if _, err := os.Stat(o.path + salvaged); err != nil {
		return nil //nolint:nilerr // there is none
	}
	release, err := o.lock.exclude(ctx)
	if isBusy(err) {
		return nil // then the other one has done it
	}
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(o.path + salvaged); err != nil {
		return nil //nolint:nilerr // the other one has done it
	}
	return storageError(o.exchange())
}

// spare returns a path, with another file's ending, that is not in use.
func (o *Outbox) spare(ending string) string {
	for n := 1; ; n++ {
		path := fmt.Sprintf("%s.damaged-%d", o.path, n)
		if _, err := os.Lstat(path + ending); errors.Is(err, os.ErrNotExist) {
			return path + ending
		}
	}
}
