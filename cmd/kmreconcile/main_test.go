package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/kissmetrics-go/kissmetrics"
)

func TestMain(m *testing.M) {
	if slices.Contains(os.Args, "-sent") { // a test runs the program as a process
		main()
	}
	goleak.VerifyTestMain(m)
}

// folder makes a folder of what was sent and of an export, and goes there.
func folder(t *testing.T, sent, exported string) {
	t.Helper()
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("sent.json", []byte(sent), 0o600))
	require.NoError(t, os.MkdirAll("export/revisions", 0o700))
	require.NoError(t, os.WriteFile("export/index.csv", []byte("file\n"), 0o600))
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	_, err := w.Write([]byte(exported))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile("export/revisions/1.json.gz", compressed.Bytes(), 0o600))
}

// kmreconcile runs the program.
func kmreconcile(t *testing.T, terminal bool, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, terminal: terminal}
	status = p.run(t.Context(), args)
	return status, out.String(), errs.String()
}

const (
	a      = `{"_p":"Ann","_t":1700000000,"_n":"a"}` + "\n"
	b      = `{"_p":"Ann","_t":1700000000,"_n":"b","Seats":3}` + "\n"
	aThere = `{"_n":"a","_p":"ann","_t":1700000000}` + "\n"
	aMoved = `{"_n":"a","_p":"ann","_t":1700000005}` + "\n"
)

var both = []string{"-sent", "sent.json", "-exported", "export"}

func TestWhatIsMissingCanBeSentAgain(t *testing.T) {
	folder(t, a+b, aThere)
	status, stdout, stderr := kmreconcile(t, false, append(both, "-missing", "missing.json")...)
	assert.Equal(t, incomplete, status)
	assert.Empty(t, stderr)
	for _, row := range []string{"2 records were sent", "1 arrived as they were sent", "1 are missing", "1 rows are exported"} {
		assert.Contains(t, stdout, row)
	}
	missing, err := os.ReadFile("missing.json")
	require.NoError(t, err)
	assert.Equal(t, b, string(missing))

	status, _, stderr = kmreconcile(t, false, append(both, "-missing", "missing.json")...)
	assert.Equal(t, failed, status)
	assert.Contains(t, stderr, "is there already")
	assertNothingElse(t, "export", "missing.json", "sent.json")
}

func TestAllThere(t *testing.T) {
	folder(t, a, aThere+aThere)
	status, stdout, stderr := kmreconcile(t, true, both...)
	assert.Equal(t, complete, status)
	assert.Contains(t, stdout, "1 are there twice")
	assert.Contains(t, stderr, "1 sent, 2 exported", "the bar")
}

func TestJSON(t *testing.T) {
	folder(t, a+b, aMoved)
	status, stdout, _ := kmreconcile(t, false, append(both, "-json")...)
	assert.Equal(t, incomplete, status)
	got := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, got, 3)
	assert.ElementsMatch(t, []string{
		`{"kind":"altered","changes":["time moved"],"sent":` + strings.TrimSpace(a) + `,"exported":{"_p":"ann","_t":1700000005,"_n":"a"}}`,
		`{"kind":"missing","sent":` + strings.TrimSpace(b) + `}`,
	}, got[:2])
	assert.Regexp(t, `^{"complete":false,"counts":{"sent":2,"exported":1,.*"missing":1,`, got[2])
}

func TestList(t *testing.T) {
	folder(t, a+b, aMoved)
	_, stdout, _ := kmreconcile(t, false, append(both, "-list")...)
	assert.Contains(t, stdout, "altered (time moved): "+a+"\texported as: {\"_p\":\"ann\",\"_t\":1700000005,\"_n\":\"a\"}\n")
	assert.Contains(t, stdout, "missing: "+b)
}

func TestALineThatCannotBeReadIsNotComplete(t *testing.T) {
	folder(t, a+strings.Repeat("{\n", 12), aThere)
	status, stdout, stderr := kmreconcile(t, false, both...)
	assert.Equal(t, incomplete, status)
	assert.Contains(t, stdout, "12 lines of what was sent cannot be read")
	assert.Contains(t, stderr, "sent.json: kissmetrics: line 2: ")
	assert.Equal(t, 11, strings.Count(stderr, "\n"))
}

func TestFailures(t *testing.T) {
	folder(t, a, aThere)
	require.NoError(t, os.WriteFile("torn.gz", []byte("\x1f\x8b\x08\x00torn"), 0o600))
	require.NoError(t, os.Mkdir("empty", 0o700))
	require.NoError(t, os.WriteFile("nothing.json", []byte("\n"), 0o600))
	for _, args := range [][]string{
		{}, {"-sent", "sent.json"}, {"-nonsense"}, append(both, "more"), append(both, "-memory", "1"),
		{"-sent", "nowhere", "-exported", "export"}, {"-sent", "empty", "-exported", "export"}, {"-sent", "nothing.json", "-exported", "export", "-missing", "missing.json"},
		{"-sent", "sent.json", "-exported", "torn.gz", "-missing", "missing.json"}, append(both, "-temp", "nowhere"),
	} {
		status, stdout, stderr := kmreconcile(t, false, args...)
		assert.Equal(t, failed, status, "%v", args)
		assert.Empty(t, stdout)
		assert.Regexp(t, `^kmreconcile: .*\n$`, stderr)
	}
	assertNothingElse(t, "empty", "export", "nothing.json", "sent.json", "torn.gz")
}

func TestAReaderThatGoesAwayLeavesNothingBehind(t *testing.T) {
	folder(t, strings.Repeat(a, 10)+b, "")
	program, err := os.Executable()
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	require.NoError(t, r.Close())
	for _, flag := range []string{"-list", "-json", "-list=false"} {
		cmd := exec.CommandContext(t.Context(), program, append(both, flag, "-missing", "missing.json")...) //nolint:gosec // this test
		cmd.Stdout = w
		_ = cmd.Run()
		assert.Equal(t, failed, cmd.ProcessState.ExitCode(), "%s: %s", flag, cmd.ProcessState)
	}
	require.NoError(t, w.Close())
	parts, err := filepath.Glob("*.part")
	require.NoError(t, err)
	assert.Empty(t, parts)
}

func TestTheFileOfWhatIsMissingReplacesNoOther(t *testing.T) {
	folder(t, b, "")
	require.NoError(t, os.WriteFile("missing.json.part", []byte("mine"), 0o600))
	first, err := newLines("missing.json")
	require.NoError(t, err)
	defer first.discard()
	status, _, _ := kmreconcile(t, false, append(both, "-missing", "missing.json")...)
	assert.Equal(t, incomplete, status)
	require.NoError(t, first.add(t.Context(), kissmetrics.Record{
		Kind: kissmetrics.KindEvent, Person: "Ann", Name: "a", Time: time.Unix(1700000000, 0),
	}))
	require.ErrorIs(t, first.keep(t.Context()), os.ErrExist)
	parts, err := filepath.Glob("*.*.part")
	require.NoError(t, err)
	for _, name := range parts {
		kept, err := os.ReadFile(name) //nolint:gosec // in the test's folder
		require.NoError(t, err)
		assert.Equal(t, map[bool]string{true: "mine", false: a}[name == "missing.json.part"], string(kept), name)
	}
	assert.Len(t, parts, 2, "the other file, and what could not get its name")
	missing, err := os.ReadFile("missing.json")
	require.NoError(t, err)
	assert.Equal(t, b, string(missing))
}

// TestAFileThatCannotBeWrittenIsNamed, whether the writing fails early or at last.
func TestAFileThatCannotBeWrittenIsNamed(t *testing.T) {
	for name, records := range map[string]int{"at last": 1, "early": 2000} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			l, err := newLines("missing.json")
			require.NoError(t, err)
			defer l.discard()
			require.NoError(t, l.file.Close())
			for i := 0; i < records && err == nil; i++ {
				err = l.add(t.Context(), kissmetrics.NewEvent("ann", "b", time.Unix(1_700_000_000, 0)))
			}
			assert.Equal(t, name == "early", err != nil)
			require.ErrorContains(t, cmp.Or(err, l.keep(t.Context())), "writing missing.json: ")
		})
	}
}

func TestHelp(t *testing.T) {
	status, stdout, _ := kmreconcile(t, false, "-h")
	assert.Equal(t, complete, status)
	assert.Contains(t, stdout, "-missing file")
}

// assertNothingElse fails the test if another file was left behind.
func assertNothingElse(t *testing.T, names ...string) {
	t.Helper()
	found, err := filepath.Glob("*")
	require.NoError(t, err)
	assert.Equal(t, names, found)
}

func TestFoldersInAFolder(t *testing.T) {
	folder(t, a+b, aThere)
	require.NoError(t, os.MkdirAll("exports/later/revisions", 0o700))
	require.NoError(t, os.Rename("export", "exports/first"))
	require.NoError(t, os.WriteFile("exports/later/revisions/1.json", []byte(strings.ToLower(b)), 0o600))
	for i := range 12 {
		require.NoError(t, os.WriteFile(fmt.Sprintf("exports/notes %d.txt", i), nil, 0o600))
	}
	status, stdout, stderr := kmreconcile(t, false, "-sent", "sent.json", "-exported", "exports")
	assert.Equal(t, complete, status)
	assert.Contains(t, stdout, "2 arrived as they were sent")
	assert.Contains(t, stderr, "kmreconcile: exported: "+filepath.Join("exports", "notes 0.txt")+" is not read\n")
	assert.Contains(t, stderr, "kmreconcile: exported: 2 more files are not read\n")
	assert.Equal(t, 11, strings.Count(stderr, "\n"))
}

func TestARevisionThatIsNotThereIsTold(t *testing.T) {
	folder(t, a+b, aThere)
	require.NoError(t, os.WriteFile("export/revisions/3.json", nil, 0o600))
	status, stdout, stderr := kmreconcile(t, false, both...)
	assert.Equal(t, incomplete, status)
	assert.Equal(t, "kmreconcile: exported: "+filepath.Join("export", "revisions")+": 2 is not there; its records look missing\n", stderr)
	assert.Contains(t, stdout, "1 gaps are between the revisions")
	_, stdout, _ = kmreconcile(t, false, append(both, "-json")...)
	assert.Contains(t, stdout, `},"gaps":["`+filepath.ToSlash("export/revisions")+`: 2"]}`)
}
