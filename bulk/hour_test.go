package bulk_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/bulk"
)

// A shelf is a bucket in memory that can be away.
type shelf struct {
	mu      sync.Mutex
	away    bool
	objects []string
	records [][]string
}

func (s *shelf) put(_ context.Context, object, _ string, lines io.Reader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errors.New("away")
	}
	var read []string
	for r, err := range kissmetrics.ReadImport(lines) {
		if err != nil {
			return err
		}
		read = append(read, r.Name)
	}
	s.objects, s.records = append(s.objects, object), append(s.records, read)
	return nil
}

func (s *shelf) set(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

// names returns the names of the objects.
func (s *shelf) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.objects)
}

// lists returns the names of the records of each object.
func (s *shelf) lists() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// The clock of a bubble begins at midnight.
const midnight = "shop-20000101T"

func TestAnHourIsOneObject(t *testing.T) {
	inBubble(t, func(t *testing.T, s *bulk.Sender, shelf *shelf) {
		time.Sleep(10 * time.Minute)
		send(t, s, "a")
		time.Sleep(49 * time.Minute)
		send(t, s, "b")
		synctest.Wait()
		assert.Empty(t, shelf.names())
		time.Sleep(2 * time.Minute)
		send(t, s, "c")
		time.Sleep(3 * time.Hour)
		send(t, s, "d")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{midnight + "010000Z.json", midnight + "020000Z.json", midnight + "050000Z.json"}, shelf.names(), "and none for an hour without records")
		assert.Equal(t, [][]string{{"a", "b"}, {"c"}, {"d"}}, shelf.lists())
		stats := statsOf(t, s)
		assert.Equal(t, midnight+"050000Z.json", stats.LastObject)
		assert.EqualValues(t, 4, stats.Delivered)
		assert.Zero(t, stats.Waiting)
		assert.Zero(t, stats.Oldest)
	})
}

func TestAfterAnOutageThereAreTwoObjects(t *testing.T) {
	inBubble(t, func(t *testing.T, s *bulk.Sender, shelf *shelf) {
		shelf.set(true)
		time.Sleep(30 * time.Minute)
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			send(t, s, name)
			time.Sleep(time.Hour)
		}
		assert.EqualValues(t, 5, statsOf(t, s).Waiting)
		assert.Equal(t, "away", statsOf(t, s).LastError)
		shelf.set(false)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, [][]string{{"a"}, {"b", "c", "d", "e"}}, shelf.lists())
		assert.Less(t, shelf.names()[0], shelf.names()[1])
	})
}

func TestAFlushTakesThePlaceOfTheNextHour(t *testing.T) {
	inBubble(t, func(t *testing.T, s *bulk.Sender, shelf *shelf) {
		time.Sleep(20 * time.Minute)
		send(t, s, "a")
		flush(t, s)
		send(t, s, "b")
		time.Sleep(time.Hour)
		send(t, s, "c")
		time.Sleep(time.Hour)
		assert.Equal(t, []string{midnight + "002000Z.json", midnight + "020000Z.json"}, shelf.names())
		assert.Equal(t, [][]string{{"a"}, {"b", "c"}}, shelf.lists())
	})
}

func TestARestartKeepsTheHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, shelf := t.TempDir(), new(shelf)
		for _, name := range []string{"a", "b"} {
			s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
			stop := start(t, s)
			send(t, s, name)
			time.Sleep(10 * time.Minute)
			stop()
			closeSender(t, s)
		}
		assert.Empty(t, shelf.names())
		time.Sleep(10 * time.Hour)
		s := open(t, dir, bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
		assert.Equal(t, time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), statsOf(t, s).Oldest)
		start(t, s)
		synctest.Wait()
		assert.Equal(t, [][]string{{"a", "b"}}, shelf.lists(), "at once, for its hour is over")
		closeSender(t, s)
	})
}

func TestAnObjectIsNamedAfterTheOneBefore(t *testing.T) {
	inBubble(t, func(t *testing.T, s *bulk.Sender, shelf *shelf) {
		for _, name := range []string{"a", "b", "c"} { // in one second
			send(t, s, name)
			flush(t, s)
		}
		assert.Equal(t, []string{midnight + "000000Z.json", midnight + "000001Z.json", midnight + "000002Z.json"}, shelf.names())
	})
}

func TestAServerThatSaysThatEveryNameIsTakenIsAskedAsSeldomAsOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried, last, at := 0, "", make(map[time.Time]int)
		s := open(t, t.TempDir(), bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithBackoff(time.Minute, time.Minute),
			bulk.WithPut(func(_ context.Context, object, _ string, _ io.Reader) error {
				at[time.Now()]++
				if tried++; tried <= 100 {
					return bulk.ErrTaken
				}
				last = object
				return nil
			}))
		start(t, s)
		send(t, s, "a")
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Contains(t, statsOf(t, s).LastError, "is not the bucket")
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{11, 30, 30, 30}, slices.Sorted(maps.Values(at)), "at one time")
		assert.Equal(t, midnight+"010140Z.json", last, "100 seconds later")
		closeSender(t, s)
	})
}

func inBubble(t *testing.T, test func(t *testing.T, s *bulk.Sender, shelf *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		shelf := new(shelf)
		s := open(t, t.TempDir(), bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put), bulk.WithBackoff(time.Second, time.Minute))
		stop := start(t, s)
		test(t, s, shelf)
		stop()
		closeSender(t, s)
	})
}

func TestAnAliasGetsATimeAndEmptyPropertiesNoLine(t *testing.T) {
	shelf := new(shelf)
	s := open(t, t.TempDir(), bulk.Bucket{Name: "b", Base: "shop"}, bulk.WithPut(shelf.put))
	start(t, s)
	records := []kissmetrics.Record{
		kissmetrics.NewAlias("before", "after", time.Time{}),
		kissmetrics.NewProperties("ann", time.Now()),
	}
	require.NoError(t, s.Send(t.Context(), records))
	assert.Zero(t, records[0].Time, "the caller's record is left alone")
	assert.EqualValues(t, 1, statsOf(t, s).Waiting)
	require.NoError(t, s.Send(t.Context(), records[1:]))
	flush(t, s)
	assert.Equal(t, [][]string{{"after"}}, shelf.lists())
}
