package pack

import (
	"math"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

func pack(write func(*Writer)) string {
	var w Writer
	write(&w)
	w.Measured()
	write(&w)
	return w.String()
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	numbers := []uint64{0, 1, 0x7f, 0x80, 0x3fff, 0x4000, math.MaxUint32, math.MaxUint64}
	texts := []string{"", "a", "é\x00\xff", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 20000)}
	packed := pack(func(w *Writer) {
		for _, n := range numbers {
			w.Number(n)
		}
		for _, s := range texts {
			w.Text(s)
			w.Raw(s)
		}
	})
	r := Reader(packed)
	for _, n := range numbers {
		assert.Equal(t, n, r.Number())
	}
	for _, s := range texts {
		assert.Equal(t, s, r.Text())
		assert.Equal(t, s, r.Raw(uint64(len(s))))
	}
	assert.Empty(t, r)
}

func TestPropertiesAreReadAsTheyWereWritten(t *testing.T) {
	type own struct {
		Name, Value string
		Literal     bool
	}
	last := []own{{"last", "z", false}}
	for _, properties := range [][]own{
		nil,
		{},
		{{}},
		{{"a", "1", true}, {"a", "1", false}, {"", "", true}, {strings.Repeat("é", 200), strings.Repeat("x", 20000), false}},
	} {
		for room := range 7 {
			r := Reader(pack(func(w *Writer) { Properties(w, properties); Properties(w, last); w.Text("behind") }))
			first, left := ReadProperties(&r, make([]own, 0, room))
			second, _ := ReadProperties(&r, left)
			assert.Equal(t, properties, first)
			assert.Equal(t, last, second)
			assert.Equal(t, "behind", r.Text())
		}
	}
}

func TestNoMemoryIsAllocatedButForTheString(t *testing.T) {
	text := strings.Repeat("a", 300)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		var w Writer
		w.Text(text)
		w.Number(300)
		w.Measured()
		w.Text(text)
		w.Number(300)
		_ = w.String()
	}), 1.0)
}

func TestTextsShareTheMemoryOfWhatIsRead(t *testing.T) {
	packed := pack(func(w *Writer) { w.Text("shared") })
	r := Reader(packed)
	assert.Equal(t, unsafe.StringData(packed[1:]), unsafe.StringData(r.Text()))
}

func FuzzNumber(f *testing.F) {
	for _, n := range []uint64{0, 127, 128, math.MaxUint64} {
		f.Add(n, "text")
	}
	f.Fuzz(func(t *testing.T, n uint64, s string) {
		r := Reader(pack(func(w *Writer) { w.Number(n); w.Text(s) }))
		if r.Number() != n || r.Text() != s || r != "" {
			t.Fatal("not what was written")
		}
	})
}
