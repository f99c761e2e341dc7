package people

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAnAnonymousIdentityIsOnePersons(t *testing.T) {
	var m Memory
	assert.True(t, m.IsFirst("", "a", "u1"))
	assert.True(t, m.IsFirst("", "A", "U1"), "Kissmetrics tells no case apart")
	assert.False(t, m.IsFirst("", "a", "u2"))
	assert.True(t, m.IsFirst("", "b", "u2"))
	assert.True(t, m.IsFirst("other", "a", "u2"), "another source has other people")
}

func TestANamedIdentityIsNobodysAnonymousOne(t *testing.T) {
	var m Memory
	assert.True(t, m.IsFirst("", "a", "bob@example.com"))
	assert.False(t, m.IsFirst("", "Bob@example.com", "carol@example.com"))
}

func TestTheMemoryIsBounded(t *testing.T) {
	var m Memory
	for i := range 2*Remembered + 5 {
		assert.True(t, m.IsFirst("", "a"+strconv.Itoa(i), "u"))
		assert.False(t, m.IsFirst("", "a"+strconv.Itoa(max(0, i-Remembered/2)), "v"))
	}
	assert.LessOrEqual(t, len(m.recent)+len(m.older), 2*Remembered)
	assert.True(t, m.IsFirst("", "a0", "v"), "what was first is forgotten")
}
