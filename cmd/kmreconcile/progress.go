package main

import (
	"io"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"github.com/kissmetrics-go/kissmetrics/reconcile"
)

// redrawEvery is the time between two drawings of the bar.
const redrawEvery = 200 * time.Millisecond

// showProgress shows on a terminal how far the reading has got, until it is stopped.
// It may be stopped several times.
func (p *program) showProgress(r *reconcile.Reconciler, sent, exported *reconcile.Files) (stop func()) {
	if !p.terminal {
		return func() {}
	}
	size := sent.Size() + exported.Size()
	bar := progressbar.NewOptions64(size, progressbar.OptionSetWriter(p.stderr), progressbar.OptionSetWidth(20),
		progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
		progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionUseANSICodes(true))
	show := func() {
		c, read := r.Counts(), sent.Read()+exported.Read()
		what := humanize.Comma(c.Sent) + " sent, " + humanize.Comma(c.Exported) + " exported"
		if read == size {
			what += "; comparing, " + humanize.Comma(c.Arrived+c.Repeats+c.Missing+c.Dropped+c.Altered) + " done"
		}
		bar.Describe(what)
		_ = bar.Set64(min(read, max(size-1, 0))) // below the size, at which the bar closes
	}
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(redrawEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show()
			case <-ended:
				return
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		wg.Wait()
		show()
		_ = bar.Exit()
		_, _ = io.WriteString(p.stderr, "\n")
	})
}
