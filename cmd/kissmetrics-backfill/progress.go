package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
)

// redrawEvery is the time between two drawings of the bar.
const redrawEvery = 200 * time.Millisecond

// progress shows on stderr how far a job has got: as a bar on a terminal, and as a
// plain line now and then elsewhere.
type progress struct {
	j      *job
	start  time.Time
	before counts // from earlier runs
	rawWas int64
	bar    *progressbar.ProgressBar // nil without a terminal
	ended  chan struct{}
	wg     sync.WaitGroup
}

func (j *job) showProgress() *progress {
	p := &progress{j: j, start: time.Now(), before: j.tracker.live, rawWas: j.in.raw.Load(), ended: make(chan struct{})}
	every := j.program.every
	if j.program.terminal {
		every = redrawEvery
		p.bar = progressbar.NewOptions64(j.in.size,
			progressbar.OptionSetWriter(j.program.stderr),
			progressbar.OptionSetWidth(20),
			progressbar.OptionShowBytes(true),
			progressbar.OptionShowTotalBytes(true),
			progressbar.OptionSetPredictTime(true),
			progressbar.OptionSetElapsedTime(true),
			progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionUseANSICodes(true),
		)
	}
	p.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.show()
			case <-p.ended:
				return
			}
		}
	})
	return p
}

// show shows how far the job has got.
func (p *progress) show() {
	live, raw := p.j.tracker.progress()
	outage := ""
	if p.j.out.outage() {
		outage = "; deliveries fail, retrying"
	}
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("%s lines, %s/s, %s refused%s",
			humanize.Comma(live.lines()), humanize.Comma(p.rate(live)), humanize.Comma(live.Refused), outage))
		_ = p.bar.Set64(min(raw, max(p.j.in.size-1, 0))) // below the size, at which the bar closes
		return
	}
	_, _ = fmt.Fprintf(p.j.program.stderr, "%s lines%s, %s/s%s: %s sent, %s refused, %s ignored%s\n",
		humanize.Comma(live.lines()), p.percent(raw), humanize.Comma(p.rate(live)), p.left(raw, time.Since(p.start)),
		humanize.Comma(live.Sent), humanize.Comma(live.Refused), humanize.Comma(live.Ignored), outage)
}

func (c counts) lines() int64 { return c.Sent + c.Refused + c.Ignored }

// rate returns this run's lines a second.
func (p *progress) rate(live counts) int64 {
	return perSecond(live.lines()-p.before.lines(), time.Since(p.start))
}

func perSecond(n int64, in time.Duration) int64 {
	return int64(float64(n) / max(in.Seconds(), 1e-3))
}

func (p *progress) percent(raw int64) string {
	if p.j.in.size <= 0 {
		return ""
	}
	return fmt.Sprintf(" (%d%%)", 100*raw/p.j.in.size)
}

// left returns the time that the rest takes at the pace so far.
func (p *progress) left(raw int64, elapsed time.Duration) string {
	if p.j.in.size <= 0 || raw <= p.rawWas {
		return ""
	}
	left := float64(elapsed) * float64(p.j.in.size-raw) / float64(raw-p.rawWas)
	return ", " + time.Duration(left).Round(time.Second).String() + " left"
}

// stop shows the final state.
func (p *progress) stop() {
	close(p.ended)
	p.wg.Wait()
	p.show()
	if p.bar == nil {
		return
	}
	if p.j.checkpoint.Done {
		_ = p.bar.Finish()
	} else {
		_ = p.bar.Exit()
	}
	_, _ = io.WriteString(p.j.program.stderr, "\n")
}

// verdict returns errAllRefused if the run is finished and no line was sent, though
// there were some to send.
func (j *job) verdict() error {
	s := j.checkpoint.state
	if !j.checkpoint.Done || s.Sent > 0 || s.Refused == 0 {
		return nil
	}
	return errAllRefused
}

// summary says what became of all lines, including those of earlier runs.
func (j *job) summary() error {
	s := j.checkpoint.state
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\n", j.in.name)
	row := func(name string, n int64, note string) {
		fmt.Fprintf(&b, "  %-8s %12s %s\n", name, humanize.Comma(n), note)
	}
	what := "lines, %s records delivered"
	switch {
	case j.flags.importDir != "":
		what = "lines, %s records written to " + j.importFiles()
	case j.server != nil:
		what = "lines, %s records delivered to the server inside this program"
	}
	row("sent", s.Sent, fmt.Sprintf(what, humanize.Comma(s.Records)))
	if s.Changed > 0 {
		row("", s.Changed, "lines of these with something adjusted")
		reasons(row, s.Adjustments)
	}
	note := "lines"
	if s.Refused > 0 && j.flags.refused != "" {
		note += ", kept in " + j.flags.refused
	}
	row("refused", s.Refused, note)
	reasons(row, s.Reasons)
	row("ignored", s.Ignored, "lines: blank, or not for Kissmetrics by their integrations")
	if j.elapsed > 0 {
		fmt.Fprintf(&b, "  in %v\n", j.elapsed.Round(time.Millisecond))
	}
	b.WriteString(j.knowledge())
	_, err := io.WriteString(j.program.stdout, b.String())
	return err
}

// reasons writes a row for each reason, the most frequent first.
func reasons(row func(name string, n int64, note string), counts map[string]int64) {
	for _, reason := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	}) {
		row("", counts[reason], "  "+reason)
	}
}

func (j *job) importFiles() string {
	if j.checkpoint.File.Number == 1 {
		return "1 file in " + j.flags.importDir
	}
	return fmt.Sprintf("%d files in %s", j.checkpoint.File.Number, j.flags.importDir)
}

// knowledge says what the server of a demonstration made of the records.
func (j *job) knowledge() string {
	if j.server == nil {
		return ""
	}
	dropped := map[string]int64{}
	for _, ignored := range j.server.Ignored() {
		dropped[string(ignored.Reason)]++
	}
	var b strings.Builder
	if len(dropped) == 0 {
		b.WriteString("  The server kept everything.\n")
	}
	for _, reason := range slices.Sorted(maps.Keys(dropped)) {
		fmt.Fprintf(&b, "  The server dropped %s: %s.\n", humanize.Comma(dropped[reason]), reason)
	}
	return b.String()
}
