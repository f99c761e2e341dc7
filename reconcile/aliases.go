package reconcile

import (
	"cmp"
	"slices"
)

// aliases knows which identities are one person. First edges are added, then the
// people are joined, and then asked for.
type aliases struct {
	edges  [][2]uint64
	most   int  // edges, so that all takes no more than its share of the memory
	full   bool // of edges that differ, which are sorted
	unused int64

	identities []uint64 // sorted
	parents    []uint32
}

// edgeBytes is what an edge takes: itself, two identities and two parents.
const edgeBytes = 16 + 2*8 + 2*4

func newAliases(memory int64) *aliases { return &aliases{most: int(memory / edgeBytes)} }

// add adds an alias of two identities.
func (a *aliases) add(x, y uint64) {
	if x == y {
		return
	}
	edge := [2]uint64{min(x, y), max(x, y)}
	if len(a.edges) >= a.most && !a.full {
		a.compact()
		a.full = len(a.edges) > a.most*3/4
	}
	if !a.full {
		a.edges = append(a.edges, edge)
	} else if _, known := slices.BinarySearchFunc(a.edges, edge, compareEdges); !known {
		a.unused++
	}
}

func compareEdges(x, y [2]uint64) int {
	return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]))
}

// compact drops repeats.
func (a *aliases) compact() {
	slices.SortFunc(a.edges, compareEdges)
	a.edges = slices.Compact(a.edges)
}

// join makes people of the identities of both sides.
func join(sides ...*aliases) *aliases {
	joined := &aliases{}
	for _, side := range sides {
		for _, edge := range side.edges {
			joined.identities = append(joined.identities, edge[0], edge[1])
		}
		joined.unused += side.unused
	}
	slices.Sort(joined.identities)
	joined.identities = slices.Clip(slices.Compact(joined.identities))
	joined.parents = make([]uint32, len(joined.identities))
	for i := range joined.parents {
		joined.parents[i] = uint32(i) //nolint:gosec // fewer than fit into memory
	}
	for _, side := range sides {
		for _, edge := range side.edges {
			x, y := joined.find(edge[0]), joined.find(edge[1])
			joined.parents[max(x, y)] = min(x, y)
		}
		side.edges = nil
	}
	return joined
}

// root returns the identity that stands for all of a person.
func (a *aliases) root(identity uint64) uint64 {
	if _, known := slices.BinarySearch(a.identities, identity); !known {
		return identity
	}
	return a.identities[a.find(identity)]
}

// find returns the index of the root of a known identity.
func (a *aliases) find(identity uint64) uint32 {
	at, _ := slices.BinarySearch(a.identities, identity)
	i := uint32(at) //nolint:gosec // fewer than fit into memory
	for a.parents[i] != i {
		a.parents[i] = a.parents[a.parents[i]]
		i = a.parents[i]
	}
	return i
}
