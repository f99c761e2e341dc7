// Package outboxtest tests durable senders: implementations of
// [kissmetrics.Sender] that store records before Send returns, and relay them
// to another Sender later. Those of this project pass it, and any other can be
// held to it.
//
//	func TestConformance(t *testing.T) {
//		outboxtest.Run(t, func(t *testing.T) outboxtest.Storage[*outbox.Outbox] {
//			path := filepath.Join(t.TempDir(), "outbox.db")
//			return outboxtest.Storage[*outbox.Outbox]{
//				Open:         func(t *testing.T, maxRecords int) *outbox.Outbox { … },
//				ErrNotParked: outbox.ErrNotParked,
//				ErrFull:      outbox.ErrFull,
//			}
//		})
//	}
//
// A store promises, and the suite checks, that every record of a Send that
// returned nil is delivered at least once, in the order of its message, whatever
// happens in between; that a Send that was refused has stored nothing; and that a
// record that is refused for good is set aside with its reason and holds up
// nothing.
package outboxtest

import (
	"context"
	"iter"
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Store is a durable sender. Its Stats and Parked return structs of its own, of
// which the suite reads these fields by their names:
//
//	type Stats struct {
//		Waiting int64 // records to be delivered, also those under way
//		Parked  int64 // entries that Parked lists
//		…
//	}
//	type Parked struct {
//		ID      int64                // for Requeue and Delete
//		Records []kissmetrics.Record // what was refused
//		Reason  string               // why, for people to read
//		…
//	}
//
// A store that keeps a message in one piece has the message's other records in a
// Parked too.
type Store[Stats, Parked any] interface {
	// Send stores the records. If it returns nil, they will be delivered.
	kissmetrics.Sender
	// Run delivers what is stored to next, and what comes while it runs, until ctx
	// ends. Then it waits for what is under way and returns nil or the error of
	// ctx. What next takes is removed; what it refuses for good (the Refused of a
	// [kissmetrics.DeliveryError], or a [kissmetrics.ValidationError]) is parked;
	// anything else is tried again. A next that is nil, or a nil pointer, is an
	// error that wraps [kissmetrics.ErrInvalidOption].
	Run(ctx context.Context, next kissmetrics.Sender) error
	// Flush waits until all that was stored before has its outcome: delivered or
	// parked. That takes a Run, here or elsewhere.
	Flush(ctx context.Context) error
	// Close ends every Run and lets go of the storage, which keeps what it has.
	// Later calls of every other method return [kissmetrics.ErrClosed].
	Close(ctx context.Context) error
	// Stats returns the counts of the storage.
	Stats(ctx context.Context) (Stats, error)
	// Parked lists what was refused for good. An error ends the list.
	Parked(ctx context.Context) iter.Seq2[Parked, error]
	// Requeue makes parked entries wait for delivery again.
	Requeue(ctx context.Context, ids ...int64) error
	// Delete forgets parked entries.
	Delete(ctx context.Context, ids ...int64) error
}

// Storage is a place to store records: a file, a database, a stream.
type Storage[T any] struct {
	// Open opens the storage, or fails the test. It is called again after a Close,
	// when what was stored must still be there, and also before it, as a second
	// process would. maxRecords bounds how many records may wait; zero sets no
	// bound. The store must try again within milliseconds after a failure, or else
	// the suite takes long.
	Open func(t *testing.T, maxRecords int) T
	// ErrNotParked is what [errors.Is] finds in the error of a Requeue or Delete
	// whose id is not that of anything parked. If it is nil, the store parks nothing:
	// there is nothing that its next stage could refuse, and the suite does not try
	// that.
	ErrNotParked error
	// ErrFull is what [errors.Is] finds in the error of a Send for which there is
	// no room. If it is nil, the store knows no such bound, and the suite does not
	// try it.
	ErrFull error
	// Exclusive says that a storage is open once at a time, so that the suite does not
	// open it again before a Close.
	Exclusive bool
}

// Run tests a store. It calls newStorage for every subtest, for an empty storage
// that shares nothing with others; t.Cleanup is the place to clean up after it.
// The suite waits at most a minute for anything.
func Run[T Store[Stats, Parked], Stats, Parked any](t *testing.T, newStorage func(t *testing.T) Storage[T]) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			storage := newStorage(t)
			test.run(&suite{
				T:            t,
				errNotParked: storage.ErrNotParked,
				errFull:      storage.ErrFull,
				exclusive:    storage.Exclusive,
				openStore: func(maxRecords int) store {
					return &typed[Stats, Parked]{Store: storage.Open(t, maxRecords)}
				},
			})
		})
	}
}

var tests = []struct {
	name string
	run  func(*suite)
}{
	{"accepts every kind of record and delivers it as it was", (*suite).accept},
	{"delivers nothing for nothing", (*suite).nothing},
	{"keeps nothing of the caller's slice", (*suite).callersSlice},
	{"keeps the order within a message", (*suite).order},
	{"delivers what comes while it runs", (*suite).whileRunning},
	{"takes a repeat", (*suite).repeat},
	{"refuses all of a message that is not valid", (*suite).invalid},
	{"stores nothing for a context that has ended", (*suite).ended},
	{"stores all or nothing when the context ends meanwhile", (*suite).ending},
	{"does nothing once it is closed", (*suite).closed},
	{"refuses a next sender that is nil", (*suite).nilNext},
	{"tries again what could not be delivered", (*suite).retry},
	{"tries again what a panic or an unknown error kept back", (*suite).retryUnknown},
	{"goes on with what a partial delivery left", (*suite).partial},
	{"parks what is refused, and nothing else", (*suite).park},
	{"parks what the next sender finds invalid", (*suite).parkInvalid},
	{"requeues and deletes what is parked", (*suite).requeue},
	{"requeues and deletes several at once", (*suite).several},
	{"requeues and deletes nothing that is not parked", (*suite).notParked},
	{"counts the records that wait and the entries that are parked", (*suite).count},
	{"waits in Flush for an outcome", (*suite).flush},
	{"keeps what waits over a restart", (*suite).restart},
	{"keeps what is parked over a restart", (*suite).restartParked},
	{"keeps what was under way when it stopped", (*suite).underWay},
	{"takes from many goroutines while it delivers", (*suite).concurrency},
	{"lets a second one take over", (*suite).takeOver},
	{"refuses what there is no room for", (*suite).full},
}
