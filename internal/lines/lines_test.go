package lines_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/lines"
)

func TestLines(t *testing.T) {
	most := strings.Repeat("x", lines.MaxBytes)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                       {"", []string{""}},
		"the last line has no end":      {"a\nb", []string{"a", "b"}},
		"behind the last may be a line": {"a\n", []string{"a", ""}},
		"CR LF and blanks":              {"a\r\n\n \t b\t\r\n", []string{"a", "", "b", ""}},
		"a byte order mark is taken":    {"\ufeffa\n\ufeffb", []string{"a", "\ufeffb"}},
		"the longest line":              {most + "\r\nb", []string{most, "b"}},
		"longer than the longest":       {"a\n" + most + "xxx\nb", []string{"a", "too long", "b"}},
		"longer by a whole buffer":      {most + most[:64<<10] + "\nb", []string{"too long", "b"}},
		"the last is too long":          {most + "xxx", []string{"too long"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			reader := lines.NewReader(strings.NewReader(c.text))
			for !reader.Ended() {
				line, err := reader.Next()
				if errors.Is(err, lines.ErrTooLong) {
					line, err = []byte("too long"), nil
				}
				require.NoError(t, err)
				got = append(got, string(line))
				require.Equal(t, len(got), reader.Number())
			}
			require.Len(t, got, len(c.want))
			for i := range got {
				assert.True(t, got[i] == c.want[i], "line %d", i+1) //nolint:testifylint // a difference of 16 MiB is not to be printed
			}
		})
	}
}

func TestTheErrorOfTheReaderEndsIt(t *testing.T) {
	boom := errors.New("boom")
	reader := lines.NewReader(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(boom)))
	line, err := reader.Next()
	require.NoError(t, err)
	assert.Equal(t, "a", string(line))
	_, err = reader.Next()
	require.ErrorIs(t, err, boom)
	assert.True(t, reader.Ended())
	assert.Equal(t, 2, reader.Number())
}

// readerFunc is a function as a reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// nobody is an error with a cause.
type nobody struct{ cause error }

func (*nobody) Error() string   { return "a constant text" }
func (n *nobody) Unwrap() error { return n.cause }

func TestAReaderThatMisbehavesIsAnError(t *testing.T) {
	for name, r := range map[string]io.Reader{
		"nil":                 nil,
		"panics":              readerFunc(func([]byte) (int, error) { panic("secret") }),
		"its error panics":    readerFunc(func([]byte) (int, error) { return 0, (*nobody)(nil) }),
		"fewer than none":     readerFunc(func([]byte) (int, error) { return -1, nil }),
		"more than there are": readerFunc(func(p []byte) (int, error) { return len(p) + 1, nil }),
	} {
		t.Run(name, func(t *testing.T) {
			reader := lines.NewReader(r)
			_, err := reader.Next()
			require.EqualError(t, err, "the reader panicked")
			assert.True(t, reader.Ended())
		})
	}
	before := lines.NewReader(io.MultiReader(strings.NewReader("a\nb"), readerFunc(func([]byte) (int, error) { panic("secret") })))
	line, err := before.Next()
	require.NoError(t, err)
	assert.Equal(t, "a", string(line), "what came before is read")
}
