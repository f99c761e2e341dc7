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

// What is tracked as a page is left arrives once, now or from the next page.
func TestPageLeft(t *testing.T) {
	t.Parallel()
	each(t, differs, func(t *testing.T, s sdk) {
		site := newSite(t, s, nil)
		page := newVisitor(t).open(t, site.url)
		page.run(t, `analytics.track("Product Viewed")`)
		site.await(t, "Product Viewed")
		page.run(t, `analytics.track("Product Wished"); location.href = "/next"`)
		site.shop(t, page)
	})
}

// What is tracked as a page is loaded again does too, which to an SDK is the same as a
// page left: one of each family will do.
func TestPageReloaded(t *testing.T) {
	t.Parallel()
	each(t, func(s sdk) bool { return differs(s) && (trial.Long() || s.first) }, func(t *testing.T, s sdk) {
		site := newSite(t, s, nil)
		page := newVisitor(t).open(t, site.url)
		page.run(t, `analytics.track("Product Viewed")`)
		site.await(t, "Product Viewed")
		page.run(t, `analytics.track("Product Wished"); location.reload()`)
		site.shop(t, page)
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
