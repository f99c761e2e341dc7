// Package seconds gives things a second of their own.
package seconds

import (
	"maps"
	"math/bits"
	"sync"
	"time"
)

const (
	// Window is how many seconds, from the present one on, a thing can have used.
	Window = 64
	// Remembered is how many things are remembered at least, of those that used a
	// second last and not yet in the past.
	Remembered = 1 << 15
	// small is how many things there are before those of the past are looked for.
	small = 1 << 9
)

// A Use is a second that something, named by a key, is to have for itself: that
// many seconds after the one that is asked for.
type Use struct {
	Key   uint64
	After int
}

// A Memory knows which seconds of the present and the near future are used. It
// forgets those of the past, and, when there are too many, the things that used
// one longest ago. It is safe for concurrent use; its zero value is empty.
type Memory struct {
	mu    sync.Mutex
	young map[uint64]window // the things that used a second last,
	old   map[uint64]window // and those before them
	most  int               // young ones
}

// A window is the seconds that one thing has used: bit i stands for first+i.
type window struct {
	first int64
	used  uint64
}

// at returns the window as it is seen from the given second on.
func (w window) at(second int64) window {
	switch passed := second - w.first; {
	case passed >= Window, passed <= -Window: // all of it is past, or the clock was set back
		return window{first: second}
	case passed < 0: // another caller asked a moment later
		return window{first: second, used: w.used << -passed}
	default:
		return window{first: second, used: w.used >> passed}
	}
}

// Take returns the smallest number of seconds by which all uses have to move,
// counted from now, for each to be the only one of its key; and it notes them as
// used. Where there is none within the window, ok is false, and nothing moves.
func (m *Memory) Take(now time.Time, uses ...Use) (move int, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	second := now.Unix()
	taken := uint64(0) // the moves that some use does not allow
	for _, use := range uses {
		used := m.find(use.Key).at(second).used
		// Beyond the window nothing is known to be used.
		taken |= used >> min(use.After, Window)
	}
	move = bits.TrailingZeros64(^taken)
	if move == Window {
		return 0, false
	}
	for _, use := range uses {
		m.mark(use.Key, second, move+use.After)
	}
	return move, true
}

// Note notes seconds as used that were not asked for here, some of them past.
func (m *Memory) Note(now time.Time, uses ...Use) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, use := range uses {
		if use.After >= 0 {
			m.mark(use.Key, now.Unix(), use.After)
		}
	}
}

func (m *Memory) find(key uint64) window {
	if w, ok := m.young[key]; ok {
		return w
	}
	return m.old[key]
}

func (m *Memory) mark(key uint64, second int64, after int) {
	if after >= Window {
		return
	}
	w := m.find(key).at(second)
	w.used |= 1 << after
	if len(m.young) >= m.most {
		m.makeRoom(second)
	}
	m.young[key] = w
}

// makeRoom forgets what is past, or else all old things. There is room then for half
// as many more as are left, so a burst that is over takes none.
func (m *Memory) makeRoom(second int64) {
	if m.most == Remembered {
		m.young, m.old = m.old, m.young
		clear(m.young)
		return
	}
	maps.DeleteFunc(m.young, func(_ uint64, w window) bool {
		return w.at(second-1).used == 0 // another caller may have asked a moment before
	})
	most := min(max(small, len(m.young)*3/2), Remembered)
	if most > m.most || most < m.most/2 { // a map of its own accord never becomes smaller
		young := make(map[uint64]window, most)
		maps.Copy(young, m.young)
		m.young, m.old, m.most = young, make(map[uint64]window), most
	}
}
