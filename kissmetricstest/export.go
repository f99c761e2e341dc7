package kissmetricstest

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// ExportOptions say how [Server.Export] writes. The zero value is ready to use.
type ExportOptions struct {
	// Gzip compresses the revisions, whose names end in .json.gz then.
	Gzip bool
	// Lines is how many lines a revision has at most. Zero means that there is one
	// revision, and no bound.
	Lines int
}

// Export writes what the server has kept to a folder, as Kissmetrics' data export
// does: the lines in files revisions/1.json, revisions/2.json and so on, in the
// order of their arrival. The folder is made if it is not there. It must not hold an
// export yet: nothing is ever overwritten.
//
// A line is an object as [kissmetrics.ReadImport] reads it: the properties, _n for
// an event or _p2 for the other identity of an alias, _p and _t. All values but _t
// are texts. Identities and names are in lower case, and bytes beyond ASCII and
// control characters are octal escapes, so that a line is not always JSON.
// Parameters of the protocol, such as _ip, are exported beside the properties. An
// alias has the time at which it arrived. What was ignored is not exported.
//
// Beside the revisions, index.csv has the name of each file, its number of lines,
// and its first and last second, and status.csv has the number of each revision,
// "complete", and the time of the export. Kissmetrics documents neither of the two.
//
// See https://support.kissmetrics.io/docs/data-export.
func (s *Server) Export(folder string, options ExportOptions) error {
	s.mu.Lock()
	rows := slices.Clone(s.people.rows)
	s.mu.Unlock()
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("kissmetricstest: export: %w", err)
	}
	if err := os.Mkdir(filepath.Join(folder, "revisions"), 0o700); err != nil {
		return fmt.Errorf("kissmetricstest: export: %w", err)
	}
	size := options.Lines
	if size <= 0 {
		size = max(len(rows), 1)
	}
	index := [][]string{{"file", "lines", "min_time", "max_time"}}
	status := [][]string{{"revision", "status", "time"}}
	for revision := range slices.Chunk(rows, size) {
		number := strconv.Itoa(len(index))
		file := "revisions/" + number + ".json"
		if options.Gzip {
			file += ".gz"
		}
		if err := writeFile(filepath.Join(folder, file), options.Gzip, func(w io.Writer) error { return writeRows(w, revision) }); err != nil {
			return err
		}
		first, last := span(revision)
		index = append(index, []string{file, strconv.Itoa(len(revision)), first, last})
		status = append(status, []string{number, "complete", time.Now().UTC().Format(time.RFC3339)})
	}
	for name, records := range map[string][][]string{"index.csv": index, "status.csv": status} {
		if err := writeFile(filepath.Join(folder, name), false, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(records) }); err != nil {
			return err
		}
	}
	return nil
}

// writeFile makes a file that is not there yet.
func writeFile(path string, compress bool, write func(io.Writer) error) (err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the folder that the caller names
	if err != nil {
		return fmt.Errorf("kissmetricstest: export: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			err = fmt.Errorf("kissmetricstest: export: %w", err)
		}
	}()
	buffered := bufio.NewWriter(file)
	if !compress {
		return errors.Join(write(buffered), buffered.Flush())
	}
	compressed := gzip.NewWriter(buffered)
	return errors.Join(write(compressed), compressed.Close(), buffered.Flush())
}

// A row is what a line of an export says.
type row struct {
	person, event, other string // for properties, there is neither event nor other
	second               int64
	properties           []property
}

// export adds a row, with the parameters that came with its request.
func (p *people) export(t *taker, r row) {
	for _, parameter := range t.names {
		if isParameter(parameter) && !isHead(parameter) {
			r.properties = append(r.properties, property{parameter, foldName(parameter), t.param(parameter)})
		}
	}
	r.person, r.event, r.other = shared(p.rules.foldIdentity(r.person)), shared(foldName(r.event)), shared(p.rules.foldIdentity(r.other))
	p.rows = append(p.rows, r)
}

// span returns the first and the last second of rows.
func span(rows []row) (first, last string) {
	bySecond := func(a, b row) int { return cmp.Compare(a.second, b.second) }
	return strconv.FormatInt(slices.MinFunc(rows, bySecond).second, 10), strconv.FormatInt(slices.MaxFunc(rows, bySecond).second, 10)
}

func writeRows(w io.Writer, rows []row) error {
	var line []byte
	for _, r := range rows {
		line = append(r.appendLine(line[:0]), '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}

// appendLine appends the row as a line of an export.
func (r row) appendLine(dst []byte) []byte {
	dst = append(dst, '{')
	member := func(name, value string) {
		dst = append(appendOctal(dst, name), ':')
		dst = append(appendOctal(dst, value), ',')
	}
	for _, p := range r.properties {
		member(p.folded, p.value)
	}
	if r.event != "" {
		member("_n", r.event)
	}
	if r.other != "" {
		member("_p2", r.other)
	}
	member("_p", r.person)
	return append(strconv.AppendInt(append(dst, `"_t":`...), r.second, 10), '}')
}

// appendOctal appends a text in quotes, with octal escapes for what is not printed.
func appendOctal(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ' || c >= 0x7f:
			dst = append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
