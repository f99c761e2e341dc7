package main

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
)

// imported returns the numbers in the import files, in their order.
func imported(t *testing.T, dir string) (numbers []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for i, file := range files {
		require.Equal(t, fmt.Sprintf("import-%06d.json", i+1), file.Name())
		f, err := os.Open(filepath.Join(dir, file.Name()))
		require.NoError(t, err)
		for r, err := range kissmetrics.ReadImport(f) {
			require.NoError(t, err)
			numbers = append(numbers, r.Properties[0].Value)
		}
		require.NoError(t, f.Close())
	}
	return numbers
}

func allNumbers(n int) (numbers []string) {
	for i := range n {
		numbers = append(numbers, strconv.Itoa(i))
	}
	return numbers
}

func TestKilledWhileWritingFiles(t *testing.T) {
	const n, enough = 5000, 3000
	t.Chdir(t.TempDir())
	args := []string{"-import", "out", "-file-size", "0.05", "-"}
	child := command(t, args...)
	stdin, err := child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	go func() { // ends when the pipe breaks
		for i := range n {
			if i == enough { // it must not come to the end
				return
			}
			if _, err := io.WriteString(stdin, event(i)); err != nil {
				return
			}
		}
	}()
	require.Eventually(t, func() bool {
		c, ok := readCheckpoint("backfill.checkpoint")
		return ok && c.File.Number >= 2
	}, 30*time.Second, time.Millisecond)
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	sums := map[string][32]byte{} // of files that may have been uploaded
	whole, err := filepath.Glob("out/*.json")
	require.NoError(t, err)
	for _, path := range whole {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		sums[path] = sha256.Sum256(data)
	}
	require.NotEmpty(t, sums)

	o := backfill(t.Context(), strings.NewReader(events(n)), nil, append([]string{"-resume"}, args...)...)

	require.NoError(t, o.err)
	assert.Equal(t, allNumbers(n), imported(t, "out"))
	for path, sum := range sums {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, sum, sha256.Sum256(data), "%s was whole, and is not touched any more", path)
	}
}

func TestImportFiles(t *testing.T) {
	const n = 2000
	dir := filepath.Join(t.TempDir(), "[out]") // which, as a pattern, is another name
	path := writeFile(t, "events", events(n))
	o := backfill(t.Context(), nil, nil, "-import", dir, "-file-size", "0.02", path)
	require.NoError(t, o.err)
	assert.Equal(t, allNumbers(n), imported(t, dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Greater(t, len(files), 5)
	for _, f := range files {
		info, err := f.Info()
		require.NoError(t, err)
		assert.LessOrEqual(t, info.Size(), int64(20_000))
	}
	assert.Contains(t, o.stdout.String(), fmt.Sprintf("2,000 records written to %d files in %s", len(files), dir))

	t.Run("the files of another run are not mixed up", func(t *testing.T) {
		require.NoError(t, os.Remove(path+".checkpoint"))
		for _, resume := range []string{"-resume", "-resume=false"} {
			o := backfill(t.Context(), nil, nil, "-import", dir, resume, path)
			require.ErrorContains(t, o.err, "holds the files of another run")
			assert.Equal(t, 2, exitCode(o.err))
		}
	})
}

// A crash may come between any two steps of ending a file.
func TestImportCrashBetweenSteps(t *testing.T) {
	const n = 1000
	path := writeFile(t, "events", events(n))
	for name, leave := range map[string]func(t *testing.T, dir string, last string){
		"before the last file got its name": func(t *testing.T, _ string, last string) {
			require.NoError(t, os.Rename(last, last+partial))
		},
		"after another was begun": func(t *testing.T, dir string, _ string) {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "import-000003.json.partial"), []byte("torn"), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			checkpoint := filepath.Join(t.TempDir(), "c")
			args := []string{"-import", dir, "-file-size", "0.045", "-checkpoint", checkpoint, "-refused", checkpoint + ".refused"}
			o := backfill(t.Context(), nil, nil, append(args, path)...)
			require.NoError(t, o.err)
			leave(t, dir, filepath.Join(dir, "import-000002.json"))
			o = backfill(t.Context(), nil, nil, append(append(args, "-resume"), path)...)
			require.NoError(t, o.err)
			assert.Equal(t, allNumbers(n), imported(t, dir))
		})
	}
}

// What a crash left behind the checkpoint is cut off.
func TestWhatIsBehindTheCheckpointIsCutOff(t *testing.T) {
	const torn = `{"torn`
	appendTo := func(path string) {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(strings.Repeat(torn, 100_000))
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	t.Chdir(t.TempDir())
	const n = 2000
	content := "{\n" + events(n)
	stdin := io.MultiReader(strings.NewReader(content[:150_000]), iotest.ErrReader(io.ErrNoProgress))
	require.ErrorIs(t, backfill(t.Context(), stdin, nil, "-import", "out", "-").err, io.ErrNoProgress)
	appendTo("out/import-000001.json.partial")
	appendTo("backfill.refused")

	o := backfill(t.Context(), strings.NewReader(content), nil, "-import", "out", "-resume", "-")

	require.NoError(t, o.err)
	assert.Equal(t, allNumbers(n), imported(t, "out"))
	refused, err := os.ReadFile("backfill.refused")
	require.NoError(t, err)
	assert.NotContains(t, string(refused), "torn")
	assert.Equal(t, 1, strings.Count(string(refused), "\n"))
}
