// Package outbox delivers every record that it has accepted, whatever happens
// to the process and the machine: it stores records in an SQLite file before Send
// returns, and removes them only after Kissmetrics has answered. It is for one
// machine, and there is nothing to install.
//
//	box, err := outbox.Open(ctx, "/var/lib/shop/outbox.db")
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(box))
//	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(key))
//	go box.Run(ctx, sender)
//
// # What is promised
//
// Every record of a Send that returned nil is delivered at least once. After a
// crash it may be delivered again, which is harmless: a record carries its own
// second, and Kissmetrics ignores an exact repeat. A Send that failed has stored
// all of the message's records or none; [Outbox.Send] says what each error means.
//
// What Kissmetrics refuses for good is parked with the reason: [Outbox.Parked]
// lists it, and it can be requeued or deleted. It delays nothing else.
//
// # Events that belong to a transaction
//
// If the application's own tables are in the same SQLite file,
// [Outbox.SendTx] stores records in the application's transaction: an order and
// its event are there together or not at all.
//
//	db, err := sql.Open("sqlite", path) // modernc.org/sqlite, and no other: see [ErrLibrary]
//	err = outbox.Migrate(ctx, db)       // explicit, and may be repeated: see [Schema]
//	box, err := outbox.Open(ctx, path, outbox.WithSharedFile())
//	…
//	tx, err := db.BeginTx(ctx, nil)
//	_, err = tx.ExecContext(ctx, "INSERT INTO orders …")
//	err = box.SendTx(ctx, tx, records) // of kissmetrics.Transform
//	err = tx.Commit()
//
// # Faults
//
// When the disk is full or fails, Send returns a [*StorageError], and Run keeps
// trying. On a disk that others have filled, what was delivered is still removed,
// and messages find room where others were, as long as the file need not become
// larger than it has been. A new file has a mebibyte, for some thousands of
// messages. On Linux, what is stored leaves 8 MiB of the disk free, so that what was
// delivered can be removed from a disk that the outbox itself has filled. With
// [WithMaxRecords] and [WithMaxBytes] a Send that would exceed them returns [ErrFull].
// Nothing that was accepted is ever dropped to make room.
//
// [Stats] tells a relay that makes no progress (Stalled grows) from an idle one
// (nothing waits).
//
// Every stored message has a checksum. A message whose checksum is wrong is parked,
// without records, and never sent. A damaged file is repaired when it is opened, or
// when the damage is noticed, once no other process has it open: what can be read
// is copied to a new file, the damaged one is kept with ".damaged-1" in its name,
// and an entry among what is parked says so. Something that was delivered before
// may then be delivered again. A repair takes as much memory as the file is long, and as
// much of the disk again as what waits in it. Files up to 32 MiB are checked completely
// on open. Larger files get only the cheap checks; every message's checksum is verified
// when it is read.
//
// A file that was never an outbox's is not touched: Open refuses it.
//
// When the file is deleted or replaced while it is open, which is noticed within a
// second, a Send may fail, and then the outbox goes on with what is at the path. It
// cannot deliver what was only in the other file. When its file system is unmounted
// (umount -l), Send fails until it is mounted again: on Linux, no file is made in the
// directory below. A program that starts before the file system is mounted makes one
// there, so have it wait (RequiresMountsFor= of systemd).
//
// A file that is shared with the application ([WithSharedFile]) is never repaired
// nor set aside: the application has to do that.
//
// # Other programs and the file
//
// These were tried with the sqlite3 shell 3.40 of Debian 12, while four goroutines
// sent and Run delivered. Nothing that was accepted was lost, and nothing but what
// is said here was noticed.
//
//   - BEGIN EXCLUSIVE, or a program that is stopped (SIGSTOP) in a transaction of its
//     own: Send fails after 10 seconds ([StorageBusy]), deliveries pause, Stalled
//     grows. When the lock is released, everything goes on at once. If a program
//     is stopped while it relays, another one takes over only when it has ended.
//   - VACUUM, .backup, wal_checkpoint(TRUNCATE), REINDEX, ANALYZE, other columns and
//     indexes: a pause of at most half a second. Journal and locking modes cannot be
//     changed while the outbox is open ("database is locked").
//   - Litestream 0.3.13 and 0.5.18 beside it: pauses of about a second, a log of some
//     tens of megabytes, and what it restores is an outbox again.
//   - .restore of a backup while the outbox is open: what was stored since the backup is
//     lost, but for what is under way. What is stored after it is delivered.
//   - VACUUM INTO: the copy is an outbox, too, which delivers again what waits in it.
//   - The directory is renamed: Send fails, and what waits is delivered when the
//     directory has its name again.
//   - A trigger that keeps rows of kissmetrics_waiting from being deleted: Run logs
//     that once a second, and delivers only a few thousand messages until the trigger
//     is gone. A Send that falls together with such a failure fails, too.
//   - A file system that is frozen (fsfreeze): everything waits until it is not. One that
//     has turned read-only after an error (ext4, errors=remount-ro): Send fails at once,
//     what waits is delivered, and Run logs once a second that it cannot be removed. It is
//     delivered again when the file can be written and the program has been restarted.
//     While the outbox is open, mount refuses to remount its file system read-only.
//
// # Systems
//
// The outbox is tested on Linux. It compiles for macOS, Windows and FreeBSD, where Open
// cannot see other names (hard links) of the file, what is mounted, or whether another
// SQLite library has it open. On Windows the files have the permissions that their
// directory gives them.
//
// # The write-ahead log
//
// SQLite appends what is committed to a log, and now and then copies it to the
// file and begins the log anew, which keeps it at a few megabytes. It cannot begin
// anew while something reads the file without an end, such as a backup or an SQLite
// shell with an open transaction: then the log grows by all that is stored and
// delivered meanwhile. That is logged once when the log passes 64 MiB, and
// [Stats] has its length. When the reader ends, the log becomes short again.
//
// If the hardware flips a byte of the log, SQLite takes that for the log's end, and
// what was committed behind it is hidden from everybody. Nothing of the log that is
// damaged is ever sent.
package outbox
