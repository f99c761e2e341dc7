package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// output writes the report.
type output struct {
	w    io.Writer
	list bool
	json *json.Encoder // nil for text
}

func newOutput(w io.Writer, f flags) *output {
	o := &output{w: w, list: f.list}
	if f.json {
		o.json = json.NewEncoder(w)
		o.json.SetEscapeHTML(false)
	}
	return o
}

// A jsonDifference is a difference as -json prints it.
type jsonDifference struct {
	Kind       string              `json:"kind"`
	Changes    []string            `json:"changes,omitempty"`
	Properties []string            `json:"properties,omitempty"`
	Rows       int                 `json:"rows,omitempty"`
	Sent       kissmetrics.Record  `json:"sent"`
	Exported   *kissmetrics.Record `json:"exported,omitempty"`
}

// kinds are the words for machines.
var kinds = map[reconcile.Kind]string{
	reconcile.Missing: "missing", reconcile.Dropped: "dropped", reconcile.Altered: "altered", reconcile.Twice: "twice",
}

// difference writes a difference, if it is asked for.
func (o *output) difference(d reconcile.Difference) error {
	switch {
	case o.json != nil:
		j := jsonDifference{Kind: kinds[d.Kind], Changes: d.Changes.Words(), Properties: d.Properties, Rows: d.Rows, Sent: d.Sent}
		if d.Exported.Kind != 0 {
			j.Exported = &d.Exported
		}
		return o.json.Encode(j)
	case !o.list:
		return nil
	}
	line, err := d.Sent.MarshalJSON()
	if err != nil {
		return err
	}
	what := d.Kind.String()
	if d.Changes != 0 {
		what += " (" + d.Changes.String() + ")"
	}
	if _, err = fmt.Fprintf(o.w, "%s: %s\n", what, line); err != nil || d.Exported.Kind == 0 {
		return err
	}
	if line, err = d.Exported.MarshalJSON(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(o.w, "\texported as: %s\n", line)
	return err
}

// counts writes the table. Gaps are those between the revisions of the export.
func (o *output) counts(c reconcile.Counts, gaps []string) error {
	if o.json != nil {
		return o.json.Encode(struct {
			Complete bool             `json:"complete"`
			Counts   reconcile.Counts `json:"counts"`
			Gaps     []string         `json:"gaps,omitempty"`
		}{c.Complete(), c, gaps})
	}
	w := tabwriter.NewWriter(o.w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		n      int64
		always bool
		what   string
	}{
		{c.Sent, true, "records were sent"},
		{c.UnreadableSent, false, "lines of what was sent cannot be read"},
		{c.Arrived, true, "arrived as they were sent"},
		{c.Repeats, false, "were sent again, which changes nothing"},
		{c.Missing, true, "are missing"},
		{c.Dropped, true, "were dropped as a repeat (old rule)"},
		{c.Altered, true, "were altered:"},
		{c.Cut, false, "  have a value that was cut"},
		{c.Moved, false, "  have another time"},
		{c.Merged, false, "  have another person, joined by an alias"},
		{c.Values, false, "  have other properties"},
		{c.Twice, true, "are there twice, or more often"},
		{c.Exported, true, "rows are exported"},
		{c.UnreadableExported, false, "lines of the export cannot be read"},
		{int64(len(gaps)), false, "gaps are between the revisions of the export; what belongs there looks missing"},
		{c.Unsent, false, "rows are of what was not sent"},
		{c.Unpaired, false, "were not looked for at another time; give more with -memory"},
		{c.UnusedAliases, false, "aliases did not fit into memory; give more with -memory"},
	} {
		if row.n != 0 || row.always {
			_, _ = fmt.Fprintf(w, "%s\t %s\n", humanize.Comma(row.n), row.what)
		}
	}
	return w.Flush()
}
