// Package outbox delivers every record that it has accepted, whatever happens
// to the process and the machine: it stores records in an SQLite file before Send
// returns, and removes them only after Kissmetrics has answered. It is for one
// machine, and there is nothing to install.
//
//	box, err := outbox.Open("/var/lib/shop/outbox.db")
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(box))
//	sender, err := kissmetrics.NewHTTPSender(kissmetrics.WithAPIKey(key))
//	go box.Run(ctx, sender)
//
// # What is promised
//
// Every record of a Send that returned nil is delivered at least once. A crash may
// have it delivered again, which is harmless: a record carries its own second, and
// Kissmetrics ignores what it has seen of a person, a name and a second. A Send
// that failed has stored all of the message's records or none.
//
// What Kissmetrics refuses for good is parked with the reason: [Outbox.Parked]
// lists it, and it can be requeued or deleted. It holds up nothing.
//
// # Events that belong to a transaction
//
// Where the application's own tables are in the same SQLite file,
// [Outbox.SendTx] stores records in the application's transaction: an order and
// the event that tells of it are there together or not at all.
//
//	err := outbox.Migrate(ctx, db) // explicit, and may be repeated: see [Schema]
//	box, err := outbox.Open(path, outbox.WithSharedFile())
//	…
//	tx, err := db.BeginTx(ctx, nil)
//	_, err = tx.ExecContext(ctx, "INSERT INTO orders …")
//	err = box.SendTx(ctx, tx, records) // of kissmetrics.Transform
//	err = tx.Commit()
//
// # Faults
//
// When the disk is full or fails, Send returns a [*StorageError], and Run goes on
// trying. With [WithMaxRecords] and [WithMaxBytes] a Send that would exceed them
// returns [ErrFull]. Nothing that was accepted is ever dropped to make room.
//
// Every stored message has a checksum. One that does not fit is parked, without
// records, and never sent. A file that is damaged is repaired when it is opened, or
// when the damage is noticed, once no other process has it open: what can be read
// is copied to a new file, the damaged one is kept with ".damaged-1" in its name,
// and an entry among what is parked says so. Something that was delivered before
// may then be delivered again. A file is checked as a whole when it is opened, if
// it has no more than 32 MiB; a larger one is only where that is quick, and the
// rest is as it is read.
//
// SQLite's write-ahead log is another matter: when a byte of it is flipped by the
// hardware, SQLite takes that for the log's end, and what was committed behind it
// is hidden from everybody. The log is kept short for that reason (it holds what
// was committed since the last checkpoint, a few megabytes at most), and nothing
// of it that is damaged is ever sent.
//
// When the file is deleted or replaced while it is open, the next Send fails, and
// the outbox goes on with what is at the path then. What was only in the other
// file is not delivered from here any more.
//
// A file that is shared with the application ([WithSharedFile]) is never repaired
// nor set aside: that is for the application to do.
package outbox
