// Package outboxtest tests durable senders: implementations of
// [kissmetrics.Sender] that store records before Send returns, and relay them
// to another Sender later. The outboxes of this project run it, and so may any
// other.
//
//	func TestConformance(t *testing.T) {
//		outboxtest.Run(t, func(t *testing.T) outboxtest.Storage {
//			path := filepath.Join(t.TempDir(), "outbox.db")
//			return outboxtest.Storage{
//				Open:    func(t *testing.T, maxRecords int) outboxtest.Store { … },
//				ErrFull: mine.ErrFull,
//			}
//		})
//	}
//
// What a store promises, and the suite checks, is that every record of a Send
// that returned nil is delivered at least once, in the order of its message,
// whatever happens between; that a Send that failed has stored nothing; and that
// a record which is refused for good is set aside with its reason, and holds up
// nothing.
package outboxtest

import (
	"context"
	"testing"

	"github.com/kissmetrics-go/kissmetrics"
)

// A Store is a durable sender under test. A program's own type may need an
// adapter to be one.
type Store interface {
	// Send stores the records. A nil means that they will be delivered.
	kissmetrics.Sender
	// Run delivers what is stored to next, and what comes while it runs, until ctx
	// ends. Then it waits for what is under way and returns nil or the error of
	// ctx. What next takes is removed; what it refuses for good (the Refused of a
	// [kissmetrics.DeliveryError], or a [kissmetrics.ValidationError]) is parked;
	// anything else is tried again.
	Run(ctx context.Context, next kissmetrics.Sender) error
	// Waiting returns how many records or messages are to be delivered, those
	// under way included and those parked not. The suite only asks whether there
	// are any.
	Waiting(ctx context.Context) (int, error)
	// Parked returns what was refused for good.
	Parked(ctx context.Context) ([]Parked, error)
	// Requeue makes what is parked wait for delivery again.
	Requeue(ctx context.Context, id string) error
	// Delete forgets what is parked.
	Delete(ctx context.Context, id string) error
	// Close lets go of the storage, which keeps what it has. The suite calls it
	// once, when Run has returned.
	Close(ctx context.Context) error
}

// Parked is what a store has set aside.
type Parked struct {
	// ID is for Requeue and Delete.
	ID string
	// Records holds the record that was refused. A store that keeps a message in
	// one piece has the message's other records here too.
	Records []kissmetrics.Record
	// Reason says why, for people to read.
	Reason string
}

// Storage is a place to store records: a file, a database, a stream.
type Storage struct {
	// Open opens the storage, or fails the test. It is called again after a Close,
	// when what was stored must still be there, and also before it, as a second
	// process would. maxRecords bounds how many records may wait; zero means that
	// nothing does. The store must try again within milliseconds after a failure,
	// or else the suite takes long.
	Open func(t *testing.T, maxRecords int) Store
	// ErrFull is what [errors.Is] finds in the error of a Send for which there is
	// no room. Where it is nil, the store knows no such bound, and the suite does
	// not try it.
	ErrFull error
}

// Run tests a store. It calls newStorage for every subtest, for an empty storage
// that shares nothing with others; what has to be cleaned up is for t.Cleanup.
// The suite waits at most a minute for whatever is to happen.
func Run(t *testing.T, newStorage func(t *testing.T) Storage) {
	t.Helper()
	for _, test := range []struct {
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
		{"stores nothing once it is closed", (*suite).closed},
		{"tries again what could not be delivered", (*suite).retry},
		{"tries again what a panic or an unknown error kept back", (*suite).retryUnknown},
		{"goes on with what a partial delivery left", (*suite).partial},
		{"parks what is refused, and nothing else", (*suite).park},
		{"parks what the next sender finds invalid", (*suite).parkInvalid},
		{"requeues and deletes what is parked", (*suite).requeue},
		{"keeps what waits over a restart", (*suite).restart},
		{"keeps what is parked over a restart", (*suite).restartParked},
		{"keeps what was under way when it stopped", (*suite).underWay},
		{"takes from many goroutines while it delivers", (*suite).concurrency},
		{"lets a second one take over", (*suite).takeOver},
		{"refuses what there is no room for", (*suite).full},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &suite{T: t, storage: newStorage(t)}
			test.run(s)
		})
	}
}
