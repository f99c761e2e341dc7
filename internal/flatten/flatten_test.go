package flatten_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/flatten"
)

// property is what a caller makes of a pair.
type property struct {
	Name, Value string
	Literal     bool
}

func settle(f *flatten.Flattener) []property { return flatten.Settle[property](f, nil) }

// flat returns what the members of a map become, and the notes made of them.
func flat(m map[string]any) (map[string]string, []flatten.Note) {
	var f flatten.Flattener
	f.Members(m, "")
	properties := settle(&f)
	values := make(map[string]string, len(properties))
	for _, p := range properties {
		values[p.Name] = p.Value
	}
	return values, f.Notes()
}

// value returns what one value becomes under the name "v".
func value(v any) (map[string]string, []flatten.Note) { return flat(map[string]any{"v": v}) }

func TestOneOfSeveralNamesStays(t *testing.T) {
	object := func(name string, v any) map[string]any { return map[string]any{name: v} }
	for name, test := range map[string]struct {
		given map[string]any
		want  map[string]string
		notes []flatten.Note // names and kinds
	}{
		"the first in byte order": {
			map[string]any{"plan": "a", "Plan": "b", "PLAN": "c"}, map[string]string{"PLAN": "c"},
			[]flatten.Note{{Name: "Plan", Kind: flatten.Clash, Other: "PLAN"}, {Name: "plan", Kind: flatten.Clash, Other: "PLAN"}},
		},
		"no note of an equal value": {
			map[string]any{"plan": "a", "Plan": "b", "PLAN": "a"}, map[string]string{"PLAN": "a"},
			[]flatten.Note{{Name: "Plan", Kind: flatten.Clash, Other: "PLAN"}},
		},
		"the least nested": {
			map[string]any{"a.b": 1, "A": object("b", 2)}, map[string]string{"a.b": "1"},
			[]flatten.Note{{Name: "A.b", Kind: flatten.Clash, Other: "a.b"}},
		},
		"the least nested of one name": {
			map[string]any{"a.b": 1, "a": object("b", 2)}, map[string]string{"a.b": "1"},
			[]flatten.Note{{Name: "a.b", Kind: flatten.Hidden}},
		},
		"the least nested of three": {
			map[string]any{"a.b.c": 3, "a.b": object("c", 2), "a": object("b", object("c", 3))}, map[string]string{"a.b.c": "3"},
			[]flatten.Note{{Name: "a.b.c", Kind: flatten.Hidden}},
		},
		"two ways to one name": {
			map[string]any{"a.b": object("c", 2), "a": object("b.c", 1)}, map[string]string{"a.b.c": "1"},
			[]flatten.Note{{Name: "a.b.c", Kind: flatten.Clash, Other: "a.b.c"}},
		},
		"commas and colons are spaces": {
			map[string]any{"a,b": 1, "a:b": 2, "a b": 3}, map[string]string{"a b": "3"},
			[]flatten.Note{{Name: "a,b", Kind: flatten.Clash, Other: "a b"}, {Name: "a:b", Kind: flatten.Clash, Other: "a b"}},
		},
		"letters of any script": {
			map[string]any{"É": 1, "é": 2, "Σ": 1, "ς": 1, "ſ": 1, "S": 1}, map[string]string{"É": "1", "Σ": "1", "S": "1"},
			[]flatten.Note{{Name: "é", Kind: flatten.Clash, Other: "É"}},
		},
		"long names that are one once cut": {
			map[string]any{strings.Repeat("n", 255) + "a": 1, strings.Repeat("n", 255) + "b": 2}, map[string]string{strings.Repeat("n", 255): "1"},
			[]flatten.Note{{Name: strings.Repeat("n", 255), Kind: flatten.NameCut}, {Name: strings.Repeat("n", 255), Kind: flatten.Clash, Other: strings.Repeat("n", 255)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for range 20 { // whatever the order of the map's iteration
				got, notes := flat(test.given)
				require.Equal(t, test.want, got)
				require.Len(t, notes, len(test.notes))
				for i := range notes {
					notes[i].Reason = ""
				}
				require.Equal(t, test.notes, notes)
			}
		})
	}
}

func TestManyNames(t *testing.T) {
	many := make(map[string]any)
	for i := range 100 {
		many[fmt.Sprint("name ", i)] = i
	}
	got, notes := flat(many)
	assert.Len(t, got, 100)
	assert.Empty(t, notes)
	many["NAME:7"] = "x"
	got, notes = flat(many)
	assert.Len(t, got, 100)
	require.Len(t, notes, 1)
	assert.Equal(t, "name 7", notes[0].Name)
}

func TestNamesThatCannotBeKept(t *testing.T) {
	got, notes := flat(map[string]any{"": 1, "\u00a0": 2, "_P2": 3, "_ip": 4, "\xff": 5, "a": map[string]any{"": 6, strings.Repeat("é", 300): 7}})
	assert.Equal(t, map[string]string{"_ip": "4", "\uFFFD": "5", "a.": "6", "a." + strings.Repeat("é", 253): "7"}, got)
	kinds := make(map[string]flatten.Kind)
	for _, n := range notes {
		kinds[n.Name] = n.Kind
	}
	assert.Equal(t, map[string]flatten.Kind{
		"": flatten.NameDropped, "\u00a0": flatten.NameDropped, "_P2": flatten.Reserved, "a." + strings.Repeat("é", 253): flatten.NameCut,
	}, kinds)
}

// TestTooMany: what is cut off does not depend on the order of a map's iteration.
func TestTooMany(t *testing.T) {
	wide := make(map[string]any)
	for i := range 300 {
		inner := make(map[string]any)
		for j := range 300 {
			inner[fmt.Sprint("j", j)] = j
		}
		wide[fmt.Sprint("i", i)] = inner
	}
	var first map[string]string
	for range 3 {
		var f flatten.Flattener
		f.Members(wide, "")
		require.True(t, f.Overflowed())
		f = flatten.Flattener{Ordered: true}
		f.Members(wide, "")
		require.True(t, f.Overflowed())
		got := make(map[string]string)
		for _, p := range settle(&f) {
			got[p.Name] = p.Value
		}
		require.Len(t, f.Notes(), 1)
		require.Equal(t, flatten.TooMany, f.Notes()[0].Kind)
		if first == nil {
			first = got
		}
		require.Equal(t, len(first), len(got))
		require.True(t, maps.Equal(first, got))
	}
	exact := make([]any, 1<<16-1)
	_, notes := value(exact)
	assert.NotContains(t, kindsOf(notes), flatten.TooMany)
	_, notes = value(append(exact, nil))
	assert.Contains(t, kindsOf(notes), flatten.TooMany)
}

func kindsOf(notes []flatten.Note) (kinds []flatten.Kind) {
	for _, n := range notes {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

func TestPrefix(t *testing.T) {
	var f flatten.Flattener
	f.Members(map[string]any{"a": 1, strings.Repeat("n", 250): 2, strings.Repeat("m", 255): 3}, "")
	for i := range f.Len() {
		f.Prefix(f.At(i), "évent", " - ")
	}
	names := []string{}
	for _, p := range settle(&f) {
		names = append(names, p.Name)
	}
	assert.ElementsMatch(t, []string{"évent - a", "év - " + strings.Repeat("n", 250), strings.Repeat("m", 255)}, names)
	assert.Equal(t, []flatten.Kind{flatten.NameCut, flatten.NameCut}, kindsOf(f.Notes()))
	assert.Equal(t, strings.Repeat("m", 255), f.Notes()[0].Name, "notes tell the name without its prefix")
}

func TestAddBeatsWhatWasFound(t *testing.T) {
	var f flatten.Flattener
	f.Members(map[string]any{"id": "found", "b": map[string]any{"c": 1}}, "")
	assert.Nil(t, f.Find("b.c"), "is nested")
	assert.Equal(t, "found", f.Find("id").Value)
	f.Add("id", "added", flatten.Text)
	assert.Equal(t, []property{{"b.c", "1", true}, {"id", "added", false}}, settle(&f))
	assert.Zero(t, f.Len())
	assert.Empty(t, settle(&f), "they are forgotten")
}

func TestObjects(t *testing.T) {
	one := map[string]any{"a": 1}
	for name, test := range map[string]struct {
		v    any
		want int // objects
		flat []property
	}{
		"objects":             {[]any{one, nil, one}, 3, nil},
		"an empty list":       {[]any{}, 0, nil},
		"nil":                 {nil, 0, nil},
		"nil alone":           {[]any{nil, nil}, 0, []property{{"p", ",", false}}},
		"a text":              {"x", 0, []property{{"p", "x", false}}},
		"an object":           {one, 0, []property{{"p.a", "1", true}}},
		"an object and a one": {[]any{one, 1}, 0, []property{{"p.0.a", "1", true}, {"p.1", "1", true}}},
	} {
		t.Run(name, func(t *testing.T) {
			var f flatten.Flattener
			objects := f.Objects("p", test.v)
			assert.Len(t, objects, test.want)
			assert.Equal(t, test.flat, settle(&f))
			for _, e := range objects {
				f.Element(e)
			}
			if len(objects) > 0 {
				assert.Equal(t, []property{{"a", "1", true}}, settle(&f))
				f.Elements("p", objects)
				assert.Equal(t, []property{{"p.0.a", "1", true}, {"p.2.a", "1", true}}, settle(&f))
			}
		})
	}
}

func TestNotesSayWhereTheyAre(t *testing.T) {
	var f flatten.Flattener
	f.Under = "products.1"
	f.Members(map[string]any{"a": func() {}, "b": []any{func() {}, func() {}}}, "")
	for _, e := range f.Objects("", []any{map[int]int{1: 2}}) {
		f.Element(e)
	}
	var names []string
	for _, n := range f.Notes() {
		names = append(names, n.Name)
	}
	assert.Equal(t, []string{"products.1", "products.1.a", "products.1.b"}, names)
}

func TestFlattenerReadsOnly(t *testing.T) {
	given := map[string]any{"b": map[string]any{"c": []any{1, "x"}}, "A": 1, "a": 2, strings.Repeat("n", 300): 1}
	before := fmt.Sprint(given)
	flat(given)
	assert.Equal(t, before, fmt.Sprint(given))
}

func settled(v any) []property {
	var f flatten.Flattener
	f.Members(map[string]any{"v": v}, "")
	return settle(&f)
}

type otherText string

// TestTooManyOfAnyKeys: the last value that is looked at is one of two whose keys
// are one text.
func TestTooManyOfAnyKeys(t *testing.T) {
	wide := make(map[any]any)
	for i := range 50 {
		wide[fmt.Sprint(i)], wide[otherText(fmt.Sprint(i))] = 1, 2
	}
	before := make([]any, 1<<16-2-51)
	var first []property
	for i := range 8 {
		f := flatten.Flattener{Ordered: true}
		f.Members(map[string]any{"a": before, "v": wide}, "")
		require.True(t, f.Overflowed())
		got := settle(&f)
		if i == 0 {
			first = got
		}
		require.True(t, slices.Equal(first, got))
	}
}

// TestOfEqualValuesTheNumberStays: the same name is written in two ways.
func TestOfEqualValuesTheNumberStays(t *testing.T) {
	for range 50 {
		var f flatten.Flattener
		f.Members(map[string]any{"\xff": "1", "\xfe": 1}, "")
		require.Equal(t, []property{{"\ufffd", "1", true}}, settle(&f))
		require.Empty(t, f.Notes())
	}
}

// TestWhatIsCutToAnEqualValueIsTold: the rest of it is missed, although the value
// that stays is the same.
func TestWhatIsCutToAnEqualValueIsTold(t *testing.T) {
	for range 50 {
		f := flatten.Flattener{MaxValue: 1}
		f.Members(map[string]any{"\xff": "x", "\xfe": "xyz"}, "")
		require.Equal(t, []property{{"\ufffd", "x", false}}, settle(&f))
		require.Len(t, f.Notes(), 1)
		require.Equal(t, flatten.ValueCut, f.Notes()[0].Kind)
	}
}

func TestNilOfAnyTypeIsNothing(t *testing.T) {
	for _, v := range []any{(func())(nil), (chan int)(nil), (*int)(nil), map[string]any(nil), []any(nil), unsafe.Pointer(nil), error(nil)} {
		got, notes := value(v)
		assert.Empty(t, got, "%T", v)
		assert.Empty(t, notes, "%T", v)
	}
}

// An eater removes everything from the map that it is in, when it is asked for its text.
type eater struct{ of map[string]*eater }

func (e *eater) String() string {
	clear(e.of)
	return "eaten"
}

func TestWhatAMethodRemovesIsNotThere(t *testing.T) {
	m := map[string]*eater{}
	for _, key := range []string{"a", "b", "c"} {
		m[key] = &eater{m}
	}
	for _, ordered := range []bool{false, true} {
		f := flatten.Flattener{Ordered: ordered}
		f.Members(map[string]any{"v": m}, "")
		assert.Len(t, settle(&f), map[bool]int{false: 1, true: 0}[ordered], "the map is empty the second time")
		assert.Empty(t, f.Notes())
	}
}

// The name of an object that is too long is not written down again for each member.
func TestTheMembersOfALongNameDoNotFillTheMemory(t *testing.T) {
	members := make(map[string]any)
	for i := range 60_000 {
		members[fmt.Sprintf("%05d%s", i, strings.Repeat("x", 200))] = 1
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var f flatten.Flattener
	f.Members(map[string]any{strings.Repeat("n", 300): members}, "")
	runtime.ReadMemStats(&after)
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), "it takes 28 MiB, and would take 154")
}
