package bulk

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func frameOf(lines string, records int) []byte {
	frame := append(make([]byte, headerBytes), lines...)
	sealFrame(frame, records, time.Unix(1_700_000_000, 0))
	return frame
}

// FuzzFrames: whatever is in a file, and wherever it was cut or damaged, reading it ends
// and counts every byte once. What it counts is what can be uploaded. Frames between
// which there is something else are found.
func FuzzFrames(f *testing.F) {
	const line = `{"_p":"ada","_t":1700000000,"_n":"Signed Up"}` + "\n"
	for _, between := range []string{"", "KMB1", "KMB1\xff\xff\xff\xff", "\x00", line, string(frameOf(line, 1)[:30])} {
		f.Add(line, line+line, between, between, 0)
		f.Add("", line, between, "", 40)
	}
	f.Fuzz(func(t *testing.T, first, second, between, damage string, at int) {
		one, two := frameOf(first, 1), frameOf(second, 2)
		file := bytes.Join([][]byte{one, []byte(between), two}, nil)
		whole := damage == "" && !bytes.Contains(append([]byte(between), two...)[1:], []byte(frameMagic)) // or something looks like a frame, and hides one
		if damage != "" && at >= 0 && at < len(file) {
			copy(file[at:], damage)
		}
		c, err := scan(bytes.NewReader(file))
		require.NoError(t, err)
		require.LessOrEqual(t, c.end, int64(len(file)))
		require.LessOrEqual(t, c.bytes+c.damaged, c.end)
		if whole {
			require.Equal(t, int64(len(first)+len(second)), c.bytes)
			require.EqualValues(t, 3, c.records)
			require.EqualValues(t, len(between), c.damaged)
		}
		lines, err := io.ReadAll(&lineReader{frames: frames{file: bytes.NewReader(file)}, left: c.bytes})
		require.NoError(t, err)
		require.Len(t, lines, int(c.bytes))
		if whole {
			require.Equal(t, first+second, string(lines))
		}
	})
}
