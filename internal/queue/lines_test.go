package queue

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// standing returns lines that messages have joined in this order. Those that have
// failed are in upper case, and at a stroke a delivery failed.
func standing(names string) *lines {
	l := &lines{}
	for _, name := range names {
		if name == '|' {
			l.failure()
			continue
		}
		m := NewMessage(string(name), 1, nil)
		m.failed = name < 'a'
		l.push(m)
	}
	return l
}

// inTurn removes all messages, and returns their names.
func inTurn(l *lines, preferFresh bool) string {
	var names strings.Builder
	for m := l.next(preferFresh); m != nil; m = l.next(preferFresh) {
		l.remove(m)
		names.WriteString(m.Payload())
	}
	return names.String()
}

func TestWhoseTurnItIs(t *testing.T) {
	for name, test := range map[string]struct{ came, inTurn, freshFirst string }{
		"nobody's":               {"", "", ""},
		"all fresh":              {"abc", "abc", "abc"},
		"all failed":             {"ABC", "ABC", "ABC"},
		"failed behind fresh":    {"abCD", "abCD", "abCD"},
		"failed before fresh":    {"ABcd", "ABcd", "cdAB"},
		"failed among the fresh": {"aBcDe", "aBcDe", "aceBD"},
		"one failure":            {"aBc|dEf", "aBcdEf", "dfacBE"},
		"two failures":           {"aB|cDe|fG", "aBcDefG", "faceBDG"},
		"failures before all":    {"||ab", "ab", "ab"},
		"failures after all":     {"ab||", "ab", "ab"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, test.inTurn, inTurn(standing(test.came), false))
			assert.Equal(t, test.freshFirst, inTurn(standing(test.came), true))
			l := standing(test.came)
			var all strings.Builder
			for m := range l.all() {
				all.WriteString(m.Payload())
			}
			assert.Equal(t, test.inTurn, all.String())
			assert.Equal(t, test.inTurn, inTurn(l, false), "all of them are still there")
		})
	}
}

func TestWhoIsRemovedLeavesTheOthersInTheirOrder(t *testing.T) {
	for remove, left := range map[string]string{"": "abCDef", "a": "bCDef", "C": "abDef", "D": "abCef", "e": "abCDf", "bD": "aCef", "abCDe": "f"} {
		l := standing("ab|CDe")
		var removed []string
		for _, m := range l.removeIf(func(m *Message) bool { return strings.Contains(remove, m.Payload()) }) {
			removed = append(removed, m.Payload())
		}
		assert.ElementsMatch(t, strings.Split(remove, ""), removed)
		l.push(NewMessage("f", 1, nil))
		assert.Equal(t, left, inTurn(l, false))
	}
}

// However many have failed, a new message is tried before them and none of them
// moves, for all that would be under the engine's lock.
func TestWhatHasFailedDoesNotMoveForANewMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := make(chan string, 1000)
		e, end := newEngine(func(c *Config) { c.InitialWait, c.MaxWait = time.Hour, time.Hour }, func(_ context.Context, m *Message) Result {
			tried <- m.Payload()
			return Result{Err: errDown, RetryAfter: time.Minute}
		})
		joined := func() int64 {
			e.mu.Lock()
			defer e.mu.Unlock()
			return e.lines.turns
		}
		accept(t, e, slices.Repeat([]string{"old"}, 100)...)
		for len(tried) < 100 {
			time.Sleep(time.Hour)
		}
		for range 10 {
			before := joined()
			for len(tried) > 0 {
				<-tried
			}
			accept(t, e, "new")
			assert.Equal(t, "new", <-tried)
			synctest.Wait()
			assert.EqualValues(t, 2, joined()-before, "it came, and went back")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Len(t, end(ended), 110)
	})
}

// What has failed and what has not make room for a new message alike.
func TestWhatHasStoodLongestMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dropped []string
		e, end := newEngine(func(c *Config) {
			c.MaxRecords, c.Full = 4, DropOldest
			c.Lost = func(m *Message, why Reason, _ error) {
				assert.Equal(t, Dropped, why)
				dropped = append(dropped, m.Payload())
			}
		}, func(context.Context, *Message) Result { return Result{Err: errDown, RetryAfter: time.Minute} })
		accept(t, e, "a")
		synctest.Wait()
		accept(t, e, "b", "c")
		time.Sleep(90 * time.Second) // b is tried next, for it has not failed, and stands behind c then
		accept(t, e, "d", "e", "f", "g")
		assert.Equal(t, []string{"a", "c", "b"}, dropped)
		require.EqualValues(t, 4, e.Stats().Waiting)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		assert.Equal(t, []string{"d", "e", "f", "g"}, end(ended))
	})
}
