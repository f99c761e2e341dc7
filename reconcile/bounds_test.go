package reconcile_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/internal/trial"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// generated returns n events as a sequence that holds none of them; those that skip
// returns true for are left out.
func generated(n int, skip func(i int) bool) iter.Seq2[kissmetrics.Record, error] {
	return func(yield func(kissmetrics.Record, error) bool) {
		for i := range n {
			if !skip(i) && !yield(kissmetrics.NewEvent("person "+strconv.Itoa(i%1000), "e", at(i/1000), kissmetrics.Number("number", i)), nil) {
				return
			}
		}
	}
}

func never(int) bool { return false }

// TestMemoryDoesNotGrow: nine tenths of the records are missing, so that both passes
// have much to do, and every part is divided again.
func TestMemoryDoesNotGrow(t *testing.T) {
	n := trial.Rounds(50_000, 200_000)
	r, err := reconcile.New(reconcile.WithTempDir(t.TempDir()), reconcile.WithMemory(1<<20))
	require.NoError(t, err)
	before, most, found := inUse(), uint64(0), 0
	for d, err := range r.Differences(t.Context(), generated(n, never), generated(n, func(i int) bool { return i%10 != 0 })) {
		require.NoError(t, err)
		require.Equal(t, reconcile.Missing, d.Kind)
		if found++; found%(n/20) == 0 {
			most = max(most, inUse())
		}
	}
	assert.Equal(t, n/10*9, found)
	t.Logf("%d KiB in use", (most-before)>>10)
	assert.Less(t, most, before+4<<20)
}

func TestOneSecondThatDoesNotFitIsAnError(t *testing.T) {
	t.Parallel()
	r, err := reconcile.New(reconcile.WithTempDir(t.TempDir()), reconcile.WithMemory(1<<20))
	require.NoError(t, err)
	var last error
	for _, err := range r.Differences(t.Context(), func(yield func(kissmetrics.Record, error) bool) {
		for i := range 10_000 {
			if !yield(kissmetrics.NewEvent("ann", "e"+strconv.Itoa(i), at(0)), nil) {
				return
			}
		}
	}, sequence(nil)) {
		last = err
	}
	require.ErrorIs(t, last, reconcile.ErrGroupTooLarge)
}

// One person did the same so often that the events do not fit into memory: they are
// compared by their seconds all the same.
func TestEventsThatSayTheSameAndDoNotFitAreTold(t *testing.T) {
	t.Parallel()
	beats := func(first int) iter.Seq2[kissmetrics.Record, error] {
		return func(yield func(kissmetrics.Record, error) bool) {
			for i := range 10_000 {
				if !yield(kissmetrics.NewEvent("ann", "beat", at(2*(first+i))), nil) {
					return
				}
			}
		}
	}
	_, counts := compare(t, beats(0), beats(1000), reconcile.WithMemory(1<<20))
	assert.Equal(t, reconcile.Counts{Sent: 10_000, Exported: 10_000, Arrived: 9000, Altered: 1000, Moved: 1000}, counts, "what is left fits")
	_, counts = compare(t, beats(0), beats(10_000), reconcile.WithMemory(1<<20))
	assert.Equal(t, reconcile.Counts{Sent: 10_000, Exported: 10_000, Missing: 10_000, Unsent: 10_000, Unpaired: 10_000}, counts)
}

func TestAliasesThatDoNotFitAreTold(t *testing.T) {
	t.Parallel()
	var all []kissmetrics.Record
	for i := range 10_000 {
		all = append(all, kissmetrics.NewAlias("a"+strconv.Itoa(i), "b"+strconv.Itoa(i), at(0)))
	}
	_, counts := compare(t, sequence(all), sequence(all), reconcile.WithMemory(1<<20))
	assert.Positive(t, counts.UnusedAliases)
	unused := counts.UnusedAliases
	_, counts = compare(t, sequence(slices.Repeat(all, 2)), sequence(all), reconcile.WithMemory(1<<20))
	assert.Less(t, counts.UnusedAliases, unused*2, "those that found room are known")
	_, counts = compare(t, sequence(slices.Repeat(all[:100], 100)), sequence(all[:100]), reconcile.WithMemory(1<<20))
	assert.Zero(t, counts.UnusedAliases, "repeats take no room")
	_, counts = compare(t, sequence(slices.Concat(slices.Repeat(all[:100], 100), all[100:200])), sequence(all[:200]), reconcile.WithMemory(1<<20))
	assert.Zero(t, counts.UnusedAliases, "nor that of others")
}

func TestNoTemporaryFileIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r, err := reconcile.New(reconcile.WithTempDir(dir))
	require.NoError(t, err)
	for _, err := range r.Differences(t.Context(), generated(100, never), sequence(nil)) {
		require.NoError(t, err)
		break
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, entries)
	assert.EqualValues(t, 100, r.Counts().Sent)
}

func TestALoopThatPanicsLeavesNoTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	r, err := reconcile.New(reconcile.WithTempDir(dir))
	require.NoError(t, err)
	assert.PanicsWithValue(t, "mine", func() {
		for _, err := range r.Differences(t.Context(), generated(10, never), sequence(nil)) {
			require.NoError(t, err)
			panic("mine")
		}
	})
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
	open, err := filepath.Glob("/proc/self/fd/*") // of Linux, where files that are open can be removed
	require.NoError(t, err)
	for _, descriptor := range open {
		if file, err := os.Readlink(descriptor); err == nil {
			assert.NotContains(t, file, dir)
		}
	}
}

func TestWhatEndsAComparison(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx  context.Context
		side iter.Seq2[kissmetrics.Record, error]
		dir  string
		want string
	}{
		"an error of a sequence": {t.Context(), func(yield func(kissmetrics.Record, error) bool) { yield(kissmetrics.Record{}, broken) }, "", "broken"},
		"a panic of a sequence":  {t.Context(), func(func(kissmetrics.Record, error) bool) { panic("secret") }, "", "panicked"},
		"its context":            {ended, sequence(nil), "", "context canceled"},
		"no temporary folder":    {t.Context(), sequence(nil), "nowhere", "nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := reconcile.New(reconcile.WithTempDir(filepath.Join(t.TempDir(), test.dir)))
			require.NoError(t, err)
			endless := func(yield func(kissmetrics.Record, error) bool) {
				for yield(event(1), nil) {
				}
			}
			if test.dir != "" {
				endless = sequence(nil)
			}
			for _, sides := range [][2]iter.Seq2[kissmetrics.Record, error]{{test.side, endless}, {endless, test.side}} {
				var errs []error
				for _, err := range r.Differences(test.ctx, sides[0], sides[1]) {
					errs = append(errs, err)
				}
				require.Len(t, errs, 1)
				require.ErrorContains(t, errs[0], test.want)
				assert.NotContains(t, errs[0].Error(), "secret")
			}
		})
	}
}

func TestALineThatCannotBeReadIsCounted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "sent.jsonl")
	require.NoError(t, os.WriteFile(path, []byte(`{"_p":"ann","_n":"e","_t":1700000000}`+"\n{\n"+`{"_p":"ann","_n":"f","_t":1700000000}`), 0o600))
	f, err := reconcile.Open(dir)
	require.NoError(t, err)
	var told []string
	_, counts := compare(t, f.Records(), sequence(nil), reconcile.WithOnUnreadable(func(side reconcile.Side, err error) {
		told = append(told, side.String()+" "+strings.TrimPrefix(err.Error(), dir+"/"))
	}))
	assert.EqualValues(t, 2, counts.Sent)
	assert.EqualValues(t, 1, counts.UnreadableSent)
	require.Len(t, told, 1)
	assert.Contains(t, told[0], "sent sent.jsonl: kissmetrics: line 2: ")
	assert.False(t, counts.Complete())
}

func TestRevisionsAreReadInTheOrderOfTheirNumbers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "revisions"), 0o700))
	for _, name := range []string{"revisions/10.json", "revisions/9.json.gz", "revisions/x.csv", "index.csv", "other.json"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	f, err := reconcile.Open(dir, filepath.Join(dir, "other.json"))
	require.NoError(t, err)
	assert.Equal(t, []string{filepath.Join(dir, "revisions/9.json.gz"), filepath.Join(dir, "revisions/10.json"), filepath.Join(dir, "other.json")}, f.Paths())
	for _, path := range []string{filepath.Join(dir, "nowhere"), t.TempDir()} {
		_, err = reconcile.Open(path)
		require.Error(t, err)
	}
}

// TestWhateverLiesInAFolderIsReadOrTold: no folder is passed over, however deep, and no
// file, link or pipe in silence.
func TestWhateverLiesInAFolderIsReadOrTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{
		"b.jsonl.gz", "a.json", "2.json", "10.json", "notes.txt", "index.csv", // index.csv belongs to exports alone
		"exports/10/revisions/2.json", "exports/10/revisions/1.json.gz", "exports/10/revisions/more/1.json", "exports/10/revisions/1.csv",
		"exports/10/index.csv", "exports/10/status.csv", "exports/10/summary.json",
		"exports/9/revisions/1.json", "exports/9/older/3.json",
	} {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o700))
	require.NoError(t, os.Symlink(dir, filepath.Join(dir, "endless.json")))
	f, err := reconcile.Open(dir)
	require.NoError(t, err)
	within := func(paths []string) (names []string) {
		for _, path := range paths {
			name, err := filepath.Rel(dir, path)
			require.NoError(t, err)
			names = append(names, filepath.ToSlash(name))
		}
		return names
	}
	assert.Equal(t, []string{
		"a.json", "b.jsonl.gz", "2.json", "10.json",
		"exports/9/older/3.json", "exports/9/revisions/1.json",
		"exports/10/revisions/1.json.gz", "exports/10/revisions/2.json", "exports/10/revisions/more/1.json",
	}, within(f.Paths()))
	assert.ElementsMatch(t, []string{
		"endless.json", "index.csv", "notes.txt", "exports/10/revisions/1.csv", "exports/10/summary.json",
	}, within(f.Skipped()))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := reconcile.New(reconcile.WithMemory(1<<20-1), reconcile.WithMaxShift(-1), nil, reconcile.WithOnUnreadable(nil))
	require.ErrorIs(t, err, kissmetrics.ErrInvalidOption)
	for _, problem := range []string{"WithMemory", "WithMaxShift", "an option is nil", "WithOnUnreadable"} {
		assert.ErrorContains(t, err, "kissmetrics: invalid option: reconcile: "+problem)
	}
}
