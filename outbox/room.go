package outbox

import (
	"context"
	"errors"
	"path/filepath"
)

// spareBytes of the disk are left free by what is stored. Without them, what was
// delivered could not be removed from a disk that the outbox itself has filled: the log
// has to grow for that, and so has the file for what is in the log.
const spareBytes = 8 << 20

var errNoSpare = &StorageError{Kind: StorageDiskFull, Err: errors.New("what is left of the disk is for removing what was delivered")}

// isFull reports whether messages of a size would take what is to be left free. They do
// not where they find room in pages of the file that are not used.
func (o *Outbox) isFull(ctx context.Context, from queryer, size int64) (bool, error) {
	if size == 0 || o.config.freeIn(filepath.Dir(o.path))-spareBytes >= 2*size { // in the log and in the file
		return false, nil
	}
	var room int64 // no page will be more than half empty
	const unused = "SELECT freelist_count * page_size / 2 FROM pragma_freelist_count, pragma_page_size"
	err := from.QueryRowContext(ctx, unused).Scan(&room)
	return room < size, err
}

// sizeOf returns how many bytes the messages of operations have.
func sizeOf(batch []*operation) (size int64) {
	for _, op := range batch {
		size += int64(len(op.message))
	}
	return size
}
