package outbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// errAway says that the file, or one of those beside it, is no longer the one that is
// open.
var errAway = damaged("the file was deleted, or replaced by another")

// breaks notes that the file is damaged. The relay lets go of it, and the writer
// repairs it before it commits anything more.
func (o *Outbox) breaks(why error) {
	if !o.broken.Swap(true) {
		o.config.logger.Error("outbox: the file is damaged", "reason", why)
	}
	notify(o.stored)
}

// repair exchanges the file for one that can be used, and the lock if that was
// taken away. It is the writer's.
func (o *Outbox) repair(ctx context.Context) error {
	if o.failure != nil && time.Since(o.tried) < afterFailure {
		return o.failure
	}
	o.fileMu.Lock()
	defer o.fileMu.Unlock()
	if o.file != nil {
		// What is there now, or comes back, may be in order.
		o.force = !o.config.shared && !o.file.at.isAway() && !o.lock.at.isAway()
		_ = o.file.close() // it may be damaged too much for an orderly end
		o.file = nil
	}
	o.lock.unshare()
	err := o.make() // before the lock, which has its permissions
	var f *file
	if err == nil {
		if o.lock.at.isAway() {
			_ = o.lock.close()
			o.lock = openLock(o.path)
		}
		f, err = o.open(ctx, o.force)
	}
	o.tried, o.failure = time.Now(), err
	if err != nil {
		o.config.logger.Error("outbox: the file cannot be used", "error", err)
		return err
	}
	o.file = f
	o.turn.Add(1)
	o.broken.Store(false)
	return nil
}

// open opens the file. What is wrong with it is put right if nobody else has it
// open, and if it is an outbox's alone.
func (o *Outbox) open(ctx context.Context, force bool) (*file, error) {
	if err := o.prepare(ctx); err != nil {
		return nil, storageError(err)
	}
	if err := checkNames(o.path); err != nil {
		return nil, err
	}
	f, err := o.openShared(ctx)
	if o.config.shared || err == nil && !force || err != nil && !isDamaged(err) {
		return f, err
	}
	if err == nil {
		err = damaged("messages are missing")
		_ = f.close()
		o.lock.unshare()
	}
	if failed := o.putRight(ctx, err); failed != nil {
		return nil, failed
	}
	return o.openShared(ctx)
}

// openShared opens the file while nobody repairs it, and keeps it so.
func (o *Outbox) openShared(ctx context.Context) (f *file, err error) {
	if err := o.lock.share(ctx); err != nil {
		return nil, explain(o.path, err)
	}
	f, err = openFile(ctx, o.path, o.config)
	if err != nil {
		o.lock.unshare()
		return nil, explain(o.path, err)
	}
	return f, nil
}

// putRight makes a new file of one that is damaged, unless that was never an
// outbox's.
func (o *Outbox) putRight(ctx context.Context, why error) error {
	release, err := o.lock.exclude(ctx)
	if err != nil {
		return errors.Join(why, fmt.Errorf("outbox: it cannot be repaired while another has it open: %w", err))
	}
	defer release()
	foreign, err := isForeign(o.path)
	if err == nil && foreign {
		return errForeign(o.path, "holds nothing of an outbox")
	}
	if err == nil {
		o.config.logger.Error("outbox: the file is damaged; what can be read is saved", "error", why)
		err = o.salvage(ctx, why)
	}
	if isKind(err, StorageForeign) {
		return err
	}
	if err != nil {
		return errors.Join(why, fmt.Errorf("outbox: it could not be repaired: %w", err))
	}
	return nil
}

// make makes the file if there is none, and if it is not the application's. It does not
// where the file's mount is missing: what was stored below that would be out of sight
// when it is back.
func (o *Outbox) make() error {
	if _, err := os.Stat(o.path + salvaged); err == nil && !o.config.shared {
		return nil // it takes the place of the file
	}
	_, err := os.Stat(o.path)
	now := mountOf(filepath.Dir(o.path))
	switch {
	case err == nil:
		return nil
	case o.config.shared:
		return storageError(err)
	case now != o.mount && now != 0 && o.mount != 0:
		return damaged("the file is gone, and so is the mount that it was on")
	}
	return storageError(makeFile(o.path))
}

// prepare makes the file if there is none, and ends a repair that was
// interrupted, if nobody has the file open.
func (o *Outbox) prepare(ctx context.Context) error {
	if _, err := os.Stat(o.path + salvaged); err != nil || o.config.shared {
		return o.make()
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
	return o.exchange()
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
