package complaint

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var errInvalid = errors.New("invalid")

func TestAllThatIsWrongIsOneError(t *testing.T) {
	wrong := New(errInvalid, "")
	require.NoError(t, wrong.Err())
	wrong.Add("WithRoom: %d", 0)
	wrong.Add("there is no key")
	require.EqualError(t, wrong.Err(), "invalid: WithRoom: 0\ninvalid: there is no key")
	require.ErrorIs(t, wrong.Err(), errInvalid)
}

func TestAPackageNamesItself(t *testing.T) {
	wrong := New(errInvalid, "box")
	wrong.Add("there is no key")
	assert.EqualError(t, wrong.Err(), "invalid: box: there is no key")
}

func TestANilOptionIsWrongAndTheOthersAreApplied(t *testing.T) {
	sum, wrong := 0, New(errInvalid, "")
	add := func(n int) func() { return func() { sum += n } }
	Apply([]func(){add(1), nil, add(2)}, wrong, func(option func()) { option() })
	assert.Equal(t, 3, sum)
	assert.EqualError(t, wrong.Err(), "invalid: an option is nil")
}

func TestTheWaitsAreAPositiveOneAndItsLimit(t *testing.T) {
	for waits, isRight := range map[[2]time.Duration]bool{
		{1, 1}: true, {time.Second, time.Minute}: true,
		{0, 1}: false, {-1, 1}: false, {2, 1}: false,
	} {
		wrong := New(errInvalid, "")
		wrong.Backoff(waits[0], waits[1])
		assert.Equal(t, isRight, wrong.Err() == nil, "%v", waits)
	}
}

func TestALoggerIsNotNil(t *testing.T) {
	wrong := New(errInvalid, "")
	wrong.Logger(slog.Default())
	require.NoError(t, wrong.Err())
	wrong.Logger(nil)
	assert.EqualError(t, wrong.Err(), "invalid: WithLogger: the logger is nil")
}
