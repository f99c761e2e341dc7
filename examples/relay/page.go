package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/kissmetrics-go/kissmetrics"
	"github.com/kissmetrics-go/kissmetrics/collect"
)

const (
	rateSeconds = 60 // over which a rate is taken
	keptNotes   = 50 // of what was refused, asked for again or adjusted
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("page").Parse(pageText))

// A page shows what each source sends, and what became of it.
type page struct {
	mu      sync.Mutex
	names   []string // of the sources, in their order
	sources map[string]*sourceCounts
	notes   []note // the newest is the last
}

// sourceCounts is what a source sent.
type sourceCounts struct {
	Name                                           string
	Accepted, Repeated, Ignored, Refused, Deferred int
	Adjusted                                       int // messages

	recent [rateSeconds]struct {
		second int64
		count  int
	}
}

// A note is why something did not go through as it was. It holds nothing of what the
// message says.
type note struct {
	At                 time.Time
	Source, Type, What string
	Reason             string
}

func newPage(c config) *page {
	p := &page{sources: map[string]*sourceCounts{}}
	if len(c.writeKeys) > 0 {
		p.source("default")
	}
	for _, source := range c.sources {
		p.source(source.Name)
	}
	return p
}

// source returns the counts of a source.
func (p *page) source(name string) *sourceCounts {
	counts := p.sources[name]
	if counts == nil {
		counts = &sourceCounts{Name: name}
		p.names = append(p.names, name)
		p.sources[name] = counts
	}
	return counts
}

// note counts what became of a message.
func (p *page) note(r collect.Result) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.source(sourceName(r))
	s.count(r.Outcome, now)
	if len(r.Adjustments) > 0 {
		s.Adjusted++
	}
	for _, a := range r.Adjustments[:min(len(r.Adjustments), 3)] {
		p.tell(note{now, s.Name, kind(r.Type), "adjusted", a.Field + ": " + string(a.Kind)})
	}
	if r.Err != nil {
		p.tell(note{now, s.Name, kind(r.Type), r.Outcome.String(), r.Reason})
	}
}

// kind returns the type of a message if it is one, for it comes from outside.
func kind(text string) string {
	switch text {
	case "identify", "page", "screen", "track", "group", "alias":
		return text
	}
	return "unknown"
}

func (p *page) tell(n note) {
	if len(p.notes) >= keptNotes {
		p.notes = p.notes[1:]
	}
	p.notes = append(p.notes, n)
}

func (s *sourceCounts) count(outcome collect.Outcome, now time.Time) {
	second := &s.recent[now.Unix()%rateSeconds]
	if second.second != now.Unix() {
		second.second, second.count = now.Unix(), 0
	}
	second.count++
	switch outcome {
	case collect.Accepted:
		s.Accepted++
	case collect.Repeated:
		s.Repeated++
	case collect.Ignored:
		s.Ignored++
	case collect.Refused:
		s.Refused++
	case collect.Deferred:
		s.Deferred++
	}
}

// rate returns how many messages a minute came of late.
func (s *sourceCounts) rate(now time.Time) (n int) {
	for _, second := range s.recent {
		if now.Unix()-second.second < rateSeconds {
			n += second.count
		}
	}
	return n
}

// A view is what the page is written from.
type view struct {
	Sources []sourceView
	Notes   []note // the newest first
	Queue   kissmetrics.Stats
	At      time.Time
}

type sourceView struct {
	sourceCounts
	Rate int // messages in the last minute
}

func (p *page) view(queue kissmetrics.Stats) view {
	v := view{Queue: queue, At: time.Now().UTC()}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range p.names {
		s := p.sources[name]
		v.Sources = append(v.Sources, sourceView{*s, s.rate(v.At)})
	}
	for _, note := range slices.Backward(p.notes) {
		v.Notes = append(v.Notes, note)
	}
	return v
}

// serve answers with the page.
func (p *page) serve(w http.ResponseWriter, queue kissmetrics.Stats) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p.view(queue)); err != nil {
		http.Error(w, fmt.Sprintf("the page cannot be written: %T", err), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	_, _ = w.Write(b.Bytes()) // or nobody looks any more
}
