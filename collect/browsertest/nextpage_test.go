package browsertest

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/kissmetrics-go/kissmetrics/internal/trial"
)

// both are what arrives in each of these tests.
var both = []string{"visitor: event Product Viewed", "visitor: event Product Wished"}

// patience is how long a page has to take over what an earlier one left, which
// takes RudderStack's SDK some ten seconds.
const patience = 25 * time.Second

// shop has a visitor look at pages until both events have arrived.
func (s *site) shop(t *testing.T, page tab) {
	t.Helper()
	turned := time.Now()
	require.Eventually(t, func() bool {
		if time.Since(turned) > patience {
			require.NoError(t, chromedp.Do(page.Context, chromedp.Navigate(s.url)))
			turned = time.Now()
		}
		return len(s.kept.Records()) >= len(both)
	}, deadline, 20*time.Millisecond, "%v", s.described())
	s.check(t, both)
}

// leave has a visitor leave a page, close its tab, and open another of the site.
// The browser tells a page of its end when it likes, so this waits until it has.
func (s *site) leave(t *testing.T, v visitor, page tab) tab {
	t.Helper()
	page.run(t, `addEventListener("pagehide", () => localStorage.setItem("left", "yes")); undefined`)
	require.NoError(t, chromedp.Do(page.Context, chromedp.Navigate("about:blank")))
	next := v.open(t, s.url+"/empty")
	require.Eventually(t, func() bool { return evaluate[bool](t, next, `localStorage.getItem("left") !== null`) }, deadline, 20*time.Millisecond)
	page.close()
	require.NoError(t, chromedp.Do(next.Context, chromedp.Navigate(s.url)))
	return next
}

// differs reports whether the end of its pages is tried with an SDK: in a short test
// with one of each family, by default with all that differ, and with -long with all.
func differs(s sdk) bool { return trial.Long() || !s.alike && (s.first || !testing.Short()) }

// What is tracked without a network, in a tab that is closed then, arrives once
// the visitor opens another page with the SDK.
func TestTabClosedOffline(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return !s.offline && differs(s) }, func(t *testing.T, s sdk) {
		site, visitor := newSite(t, s, nil), newVisitor(t)
		page := visitor.open(t, site.url)
		page.run(t, `analytics.track("Product Viewed")`)
		site.await(t, "Product Viewed")
		page.offline(t)
		page.run(t, `analytics.track("Product Wished")`)
		site.shop(t, site.leave(t, visitor, page))
	})
}

// end has a visitor track an event and end the page in the same breath. It arrives once,
// now or from the next page. An SDK that is hasty may lose it, in front of any server:
// then other visitors try.
func end(t *testing.T, s sdk, how string) {
	const most = 5 // visitors
	for visit := 1; ; visit++ {
		site := newSite(t, s, nil)
		page := newVisitor(t).open(t, site.url)
		page.run(t, `analytics.track("Product Viewed")`)
		site.await(t, "Product Viewed")
		page.run(t, `analytics.track("Product Wished"); `+how)
		if !s.hasty || visit == most || site.arrive() {
			site.shop(t, page)
			return
		}
		t.Log("the SDK has lost what it was at work on as the page ended")
	}
}

// arrive waits until both events have arrived, for as long as that takes an SDK whose
// next page is there already.
func (s *site) arrive() bool {
	over := time.After(patience / 2)
	for len(s.kept.Records()) < len(both) {
		select {
		case <-over:
			return false
		case <-time.After(20 * time.Millisecond):
		}
	}
	return true
}

func TestPageLeft(t *testing.T) {
	t.Parallel()
	each(t, differs, func(t *testing.T, s sdk) { end(t, s, `location.href = "/next"`) })
}

// To an SDK a page that is loaded again is a page that is left: one of each family will
// do.
func TestPageReloaded(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return differs(s) && (trial.Long() || s.first) }, func(t *testing.T, s sdk) {
		end(t, s, `location.reload()`)
	})
}

// An event whose answer is lost on its way arrives once, although the SDK, the
// browser or the next page sends it again.
func TestAnswerLost(t *testing.T) {
	t.Parallel()
	each(t, differs, func(t *testing.T, s sdk) {
		site, visitor := newSite(t, s, nil), newVisitor(t)
		page := visitor.open(t, site.url)
		site.loseAnswer("Product Viewed")
		page.run(t, `analytics.track("Product Viewed")`)
		site.await(t, "Product Viewed")
		next := site.leave(t, visitor, page)
		next.run(t, `analytics.track("Product Wished")`)
		site.shop(t, next)
	})
}
