// Package bulk delivers records to Kissmetrics in files instead of requests: it
// gathers them on the local disk, and once an hour puts a file of them into the S3
// bucket from which Kissmetrics imports. A record then costs a small part of what a
// request costs.
//
//	sender, err := bulk.Open(ctx, "/var/lib/shop/bulk", bulk.Bucket{Name: "shop-events", Base: "shop"})
//	…
//	client, err := kissmetrics.New(kissmetrics.WithSender(sender))
//	go sender.Run(ctx)
//
// [Sender.Check] tells what is missing before the first file can be imported.
//
// # What is promised
//
// The records of a Send that returned nil are on the disk, and each of them ends up in
// one object of the bucket, once. A crash at any moment changes neither. An object is
// there as a whole or not at all, and no object is ever overwritten. The latter needs a
// server that heeds If-None-Match, as Amazon's does; [Sender.Check] tells of one that
// does not.
//
// There is one exception to once: if the answer to an upload was lost, and
// Kissmetrics has imported and deleted the object before the next attempt, some
// seconds later, then the file is uploaded again. Kissmetrics ignores exact repeats.
//
// An alias that has no time gets the time of its acceptance, because an import needs
// one. A record of properties that has none says nothing, and has no line.
//
// # Objects
//
// An object is named by the base and the second at which its file was closed, in UTC:
// shop-20261128T010000Z.json. So the order of the names is the order of time, also
// where the clock is set back. If the name is taken, as by another process, the next
// second that is free is used.
//
// Kissmetrics imports one file an hour from those that begin with the base. So each
// directory should have a base of its own, for which an import is set up at
// Kissmetrics; two directories with one base make two files an hour, and Kissmetrics
// falls behind. No base may begin with another. For the same reason a file is closed
// only when the one before it has been uploaded: after an outage of a day there are
// two objects, not 24, and a file that [Sender.Flush] has closed takes the place of
// the next one of the hour.
//
// Each object is granted to Kissmetrics ([Grantee]): to read it, and to read its
// permissions. The bucket itself has to be granted by its owner: list, write, and
// read permissions. Both need a bucket whose access control lists are enabled
// (Object Ownership: "Bucket owner preferred").
//
// # The directory
//
// The directory belongs to one Sender at a time; Open waits for the one before. If its
// lock or its open file is removed or replaced, nothing more is accepted until the next
// Open. A copy of a directory, such as a backup that is restored, delivers again what its
// open file has, under another name and without a word. So move a directory instead.
// Closed files (*.sealed) can be moved to the directory of another Sender, whose next
// Open finds them.
//
// The records are in a file that is only appended to. Many Sends at once share one
// write and one sync, so that many goroutines store much more than one. What a crash
// has left half written at its end, of which no Send had returned, is cut off by Open.
// Each write has a checksum. A write that fails it later is skipped and logged, and its
// file is kept with ".damaged" in its name.
//
// The memory that is used does not depend on how large a file gets.
package bulk
